"""A run on Drive: a folder stands in for the mount, and fails as a mount can."""

import json
import shutil
import sys
import zipfile
from types import SimpleNamespace

import pytest

from helpers import drive
from helpers.machine import PROFILES
from helpers.refused import Refused
from helpers.run import Run

NAME = "mnist-28-tiny"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """The run on the machine of that name; all machines share one Drive."""
    (tmp_path / "MyDrive").mkdir()

    def open_there(place, name=NAME):
        monkeypatch.setenv("DCGAN_RUNS", str(tmp_path / place))
        folder = tmp_path / place / name
        images = tmp_path / place / "images"
        return Run(
            name, folder, images, "mnist", 28, 1, PROFILES["tiny"], drive=tmp_path / "MyDrive"
        )

    return open_there


def train(run, epoch, training="a1b2"):
    """What a training leaves after so many epochs, as far as Drive looks at it."""
    folder = run.folder / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    (run.folder / "history.csv").write_text(f"epoch\n{epoch}\n", encoding="utf-8")
    with zipfile.ZipFile(folder / f"epoch_{epoch:04d}.zip", "w") as archive:
        archive.writestr("record.json", json.dumps({"id": training, "epoch": epoch}))


def contents(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def archives(run):
    return sorted(path.name for path in run.drive.iterdir())


def test_the_last_two_archives_are_kept_and_the_newest_comes_back(machine, capsys):
    here = machine("here")
    for epoch in (1, 2, 3):
        train(here, epoch)
        drive.save_run(here)
    assert archives(here) == [f"{NAME}.0002.zip", f"{NAME}.0003.zip"]
    there = machine("there")
    drive.fetch_run(there)
    assert contents(there.folder) == contents(here.folder)
    assert [path.name for path in there.folder.parent.iterdir()] == [NAME]
    printed = [line.split(",")[0] for line in capsys.readouterr().out.splitlines()]
    assert printed == [
        *(f"Saved to Drive: {NAME}.000{number}.zip" for number in (1, 2, 3)),
        f"Fetched from Drive: {NAME}.0003.zip.",
    ]


def test_runs_of_similar_names_and_other_files_do_not_mix(machine, capsys):
    run, longer = machine("here"), machine("here", f"{NAME}.0001")
    (run.drive / "notes.zip").write_bytes(b"mine")
    for each in (run, longer):
        train(each, 1)
        drive.save_run(each)
    (run.drive / f"{NAME}.0001.zip").rename(run.drive / f"{NAME}.9999.zip")
    for _ in range(2):  # beyond four digits
        drive.save_run(run)
    names = {f"{NAME}.10000.zip", f"{NAME}.10001.zip", f"{NAME}.0001.0001.zip", "notes.zip"}
    assert set(archives(run)) == names
    drive.fetch_run(machine("there", "another"))
    assert capsys.readouterr().out.endswith("On Drive: no another yet.\n")


def test_a_later_state_of_the_same_training_is_taken_and_an_earlier_one_is_not(machine, capsys):
    here, there = machine("here"), machine("there")
    train(here, 1)
    drive.save_run(here)
    drive.fetch_run(there)
    train(there, 2)
    (there.folder / "mine.txt").write_text("mine", encoding="utf-8")
    drive.fetch_run(there)
    assert "mine.txt" in contents(there.folder)
    assert "Drive has no later state of runs/" in capsys.readouterr().out
    drive.save_run(there)
    drive.fetch_run(here)
    assert contents(here.folder) == contents(there.folder)


@pytest.mark.parametrize("mine", ["other training", "only networks"])
def test_different_work_is_refused_and_nothing_is_overwritten(mine, machine):
    here, there = machine("here"), machine("there")
    train(here, 3)
    drive.save_run(here)
    there.folder.mkdir(parents=True)
    (there.folder / "generator.keras").write_bytes(b"mine")
    if mine == "other training":
        train(there, 1, training="c3d4")
    before, on_drive = contents(there.folder), contents(there.drive)
    with pytest.raises(Refused) as refusal:
        drive.fetch_run(there)
    assert str(refusal.value) == (
        f"{NAME}.0001.zip on Drive and runs/{NAME} on this machine hold different work: choose "
        "another RUN_NAME, or move one of the two away."
    )
    assert contents(there.folder) == before and contents(there.drive) == on_drive
    assert [path.name for path in there.folder.parent.iterdir()] == [NAME]


def truncated(data):
    return data[:-40]


def changed(data):
    """One byte inside the first file is another; the list of files stays readable."""
    place = data.index(b"history.csv") + len(b"history.csv")
    return data[:place] + bytes([data[place] ^ 255]) + data[place + 1 :]


@pytest.mark.parametrize("damage", [truncated, changed, lambda data: b""])
def test_the_archive_before_a_damaged_one_is_taken(damage, machine, capsys):
    here, there = machine("here"), machine("there")
    for epoch in (2, 3):
        train(here, epoch)
        drive.save_run(here)
    newest = here.drive / f"{NAME}.0002.zip"
    newest.write_bytes(damage(newest.read_bytes()))
    drive.fetch_run(there)
    assert (there.folder / "history.csv").read_text(encoding="utf-8") == "epoch\n2\n"
    printed = capsys.readouterr().out
    assert f"{NAME}.0002.zip on Drive cannot be read (" in printed
    assert printed.endswith(f"Fetched from Drive: {NAME}.0001.zip.\n")
    (here.drive / f"{NAME}.0001.zip").write_bytes(b"")
    with pytest.raises(Refused, match=f"^No archive of {NAME} on Drive can be read; move them"):
        drive.fetch_run(machine("elsewhere"))
    drive.fetch_run(here)  # which has its own work, and goes on


def test_what_an_archive_unpacks_stays_in_the_run(machine, tmp_path):
    run = machine("here")
    with zipfile.ZipFile(run.drive / f"{NAME}.0001.zip", "w") as archive:
        archive.writestr("../outside.txt", "x")
        archive.writestr("/outside.txt", "x")
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/hosts")
    drive.fetch_run(run)
    assert sorted(contents(run.folder)) == ["link", "outside.txt"]
    assert not (run.folder / "link").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["MyDrive", "here"]


def test_a_drive_that_fails_costs_a_line_and_no_archive(machine, monkeypatch, capsys):
    run = machine("here")
    train(run, 1)
    drive.save_run(run)
    before = contents(run.drive)
    copy = shutil.copyfile

    def spoil(source, target):
        copy(source, target)
        with open(target, "r+b") as file:
            file.write(b"??")

    monkeypatch.setattr(shutil, "copyfile", spoil)
    drive.save_run(run)
    shutil.rmtree(run.drive)
    drive.save_run(run)
    drive.fetch_run(run)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "Not saved to Drive: the copy is not what was written."
    assert lines[2].startswith("Not saved to Drive: ") and lines[3].startswith("Not fetched from")
    assert len(before) == 1 and contents(run.folder)
    assert not run.drive.exists()  # a Drive that went away is not replaced by a folder here


def test_without_drive_or_work_nothing_happens(machine, capsys):
    drive.save_run(machine("here"))
    assert not archives(machine("here")) and not capsys.readouterr().out
    assert drive.open_drive("") is None


def test_a_folder_of_drive_is_asked_for_by_its_whole_path(tmp_path, capsys):
    with pytest.raises(ValueError, match=r"^SAVE_TO_DRIVE is 'MyDrive/course'; needed is a folder"):
        drive.open_drive("MyDrive/course")
    (tmp_path / "file").write_bytes(b"")
    assert drive.open_drive(str(tmp_path / "file" / "course")) is None
    assert capsys.readouterr().out.startswith("Drive is not there (")
    assert drive.open_drive(str(tmp_path / "new")) == tmp_path / "new"


def test_in_colab_drive_is_mounted_first(tmp_path, monkeypatch, capsys):
    mounted = []
    colab = SimpleNamespace(drive=SimpleNamespace(mount=mounted.append))
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    drive.open_drive(str(tmp_path / "course"))
    assert mounted == ["/content/drive"]

    def refuse(place):
        raise ValueError("mount failed")

    colab.drive.mount = refuse
    assert drive.open_drive(str(tmp_path / "course")) is None
    assert "Drive is not there (mount failed)" in capsys.readouterr().out
