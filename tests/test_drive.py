"""A run on Drive: a folder stands in for the mount, and fails in every way a mount can."""

import errno
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

import helpers
from helpers import callbacks, drive
from helpers.machine import ROOT

RUN = "mnist-28-tiny"
FIRST, SECOND, THIRD, FOURTH = (f"{RUN}.{number:04d}.zip" for number in (1, 2, 3, 4))
SOME_ID = b"0123456789abcdef" * 2


@pytest.fixture
def mount(tmp_path):
    return tmp_path / "MyDrive"


@pytest.fixture
def machine(tmp_path, mount, monkeypatch):
    """Opens a run on the machine of that name; all machines share one Drive."""

    def open_there(place, name=RUN):
        monkeypatch.setenv("DCGAN_RUNS", str(tmp_path / place))
        return helpers.open_run("mnist", name=name, save_to_drive=str(mount))

    return open_there


@pytest.fixture
def run(machine):
    """A run with one file on one machine, and a Drive that holds nothing yet."""
    opened = machine("here")
    work(opened, 1)
    return opened


def work(run, epochs):
    run.folder.mkdir(parents=True, exist_ok=True)
    text = "\n".join(["epoch", *map(str, range(1, epochs + 1))])
    (run.folder / "history.csv").write_text(text, encoding="utf-8")


def save(run, *epochs):
    """Save once after each of these numbers of epochs."""
    for number in epochs:
        work(run, number)
        helpers.save_run(run)


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != drive.KNOWN
    }


def epochs_of(run):
    return int((run.folder / "history.csv").read_text(encoding="utf-8").split()[-1])


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def lines(capsys):
    return capsys.readouterr().out.splitlines()


def truncate(path):
    path.write_bytes(path.read_bytes()[:-40])


def truncate_the_id(path):
    path.write_bytes(path.read_bytes()[:-10])


def damage_inside(path):
    """One byte of the first file is another; the list of files and the id stay readable."""
    data = bytearray(path.read_bytes())
    data[data.index(b"epoch")] ^= 1
    path.write_bytes(data)


def break_for(monkeypatch, owner, name, below, error):
    """From now on `owner.name` raises `error` for every path below a folder."""
    original = getattr(owner, name)

    def broken(*arguments, **keywords):
        if any(str(argument).startswith(str(below)) for argument in arguments):
            raise error
        return original(*arguments, **keywords)

    monkeypatch.setattr(owner, name, broken)


# A Drive that works


def test_the_last_two_archives_are_kept_and_come_back_as_they_were(run, mount, machine, capsys):
    save(run, 1, 2, 3)
    assert names(mount) == [SECOND, THIRD]
    there = machine("there")
    assert contents(there.folder) == contents(run.folder) and epochs_of(there) == 3
    assert names(there.folder.parent) == [RUN]
    assert [line.split(",")[0] for line in lines(capsys)] == [
        *(f"Saved to Drive: {name}" for name in (FIRST, SECOND, THIRD)),
        f"Fetched from Drive: {THIRD}.",
    ]


def test_numbers_count_on_beyond_four_digits(run, mount):
    save(run, 1)
    (mount / FIRST).rename(mount / f"{RUN}.9999.zip")
    save(run, 2)
    assert names(mount) == [f"{RUN}.10000.zip", f"{RUN}.9999.zip"]
    save(run, 3)
    assert names(mount) == [f"{RUN}.10000.zip", f"{RUN}.10001.zip"]


def test_what_is_left_out(run, mount, machine, monkeypatch):
    for name in ("previews/epoch_0000.npy", "checkpoints/step_0000300.npz"):
        (run.folder / name).parent.mkdir()
        (run.folder / name).write_bytes(b"\0\1")
    before = contents(run.folder)
    monkeypatch.setattr(drive, "LARGEST", 4000)
    (run.folder / "executed").mkdir()
    (run.folder / "executed" / "01_introduction.ipynb").write_text("{}", encoding="utf-8")
    (run.folder / "images.npz").write_bytes(bytes(5000))
    for name in ("step_0000100.npz", "step_0000200.npz", ".step_0000400.partial.npz"):
        (run.folder / "checkpoints" / name).write_bytes(b"older or unfinished")
    helpers.save_run(run)
    assert contents(machine("there").folder) == before


def test_similar_names_do_not_mix(machine, mount):
    similar = ["mnist", "mnist.2", "mnist.0001", "mnist.0001.zip", "mnist-2", "mnist.12345"]
    for epoch in (1, 2, 3):
        for number, name in enumerate(similar):
            save(machine("here", name), 10 * number + epoch)
    assert names(mount) == sorted(f"{name}.{n:04d}.zip" for name in similar for n in (2, 3))
    for number, name in enumerate(similar):
        assert epochs_of(machine("there", name)) == 10 * number + 3


def test_other_files_on_drive_stay(run, mount):
    others = ["notes.txt", f"{RUN}.zip", f"{RUN}.01.zip", f"{RUN}.0001.zip.txt", f"x{RUN}.0001.zip"]
    others += [".other.0001.partial.zip"]
    for name in others:
        (mount / name).write_text("mine", encoding="utf-8")
    save(run, 1, 2, 3)
    assert names(mount) == sorted([*others, SECOND, THIRD])
    assert all((mount / name).read_text(encoding="utf-8") == "mine" for name in others)


def test_no_archive_yet_names_the_runs_there_are(run, machine, capsys):
    save(run, 1, 2)
    machine("here", "another")
    assert lines(capsys)[-1] == f"On Drive: no another yet; there is {RUN}."


def test_an_empty_drive(machine, capsys):
    machine("here")
    assert lines(capsys) == [f"On Drive: no {RUN} yet; there is nothing."]


def test_without_drive_nothing_is_said(capsys):
    run = helpers.open_run("mnist", name="without-drive")
    helpers.save_run(run)
    assert run.drive is None and lines(capsys) == []


def test_what_is_removed_does_not_fill_the_bin(run, monkeypatch):
    """Drive keeps what is deleted in its bin for a month, and the bin counts."""
    save(run, 1, 2)
    unlink, sizes = Path.unlink, {}

    def recorded(path, missing_ok=False):
        if path.exists():
            sizes[path.name] = path.stat().st_size
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", recorded)
    save(run, 3)
    assert sizes == {FIRST: 0}


# Two machines


def test_work_since_the_last_copy_stays(run, machine):
    save(run, 1)
    work(run, 2)
    assert epochs_of(machine("here")) == 2


def test_work_on_both_sides_is_refused_and_kept(run, mount, machine, tmp_path, monkeypatch):
    save(run, 1)
    work(SimpleNamespace(folder=tmp_path / "there" / RUN), 7)
    before = contents(tmp_path)
    with pytest.raises(ValueError, match="both hold work: choose another RUN_NAME"):
        machine("there")
    assert contents(tmp_path) == before


def test_the_work_of_another_machine_is_not_overwritten(run, mount, machine, capsys):
    save(run, 1)
    save(machine("there"), 2)
    theirs = contents(mount)
    save(run, 3)
    assert lines(capsys)[-1] == (
        f"Not saved to Drive: another machine has saved {SECOND} since; choose another RUN_NAME "
        "to keep both."
    )
    assert contents(mount) == theirs and set(theirs) == {FIRST, SECOND}


@pytest.mark.parametrize("damage", [truncate, truncate_the_id, damage_inside])
def test_damaged_work_of_another_machine_does_not_stop_the_saving(damage, run, mount, machine):
    save(run, 1)
    save(machine("there"), 2)
    damage(mount / SECOND)
    save(run, 3)
    assert names(mount) == [FIRST, THIRD]
    assert epochs_of(machine("elsewhere")) == 3


# Damaged archives


@pytest.mark.parametrize("damage", [truncate, truncate_the_id, damage_inside])
def test_the_archive_before_a_damaged_one_is_used(damage, run, mount, machine, capsys):
    save(run, 1, 2)
    damage(mount / SECOND)
    there = machine("there")
    assert epochs_of(there) == 1
    *_, named, fetched = lines(capsys)
    assert named.startswith(f"{SECOND} on Drive cannot be read (")
    assert fetched == f"Fetched from Drive: {FIRST}."
    save(there, 5)  # goes on with the next number, and the good one stays
    assert names(mount) == [FIRST, THIRD]
    assert epochs_of(machine("elsewhere")) == 5


def test_a_machine_that_has_the_archive_before_a_damaged_one_goes_on(run, mount, machine, capsys):
    save(run, 1)
    save(machine("there"), 2)
    truncate(mount / SECOND)
    work(run, 4)
    assert epochs_of(machine("here")) == 4
    assert lines(capsys)[-1].startswith(f"{SECOND} on Drive cannot be read (")


def test_the_last_good_archive_outlives_its_damaged_successors(run, mount, machine):
    save(run, 1, 2, 3)
    truncate(mount / THIRD)
    save(run, 4)
    assert names(mount) == [SECOND, FOURTH]
    truncate(mount / FOURTH)
    assert epochs_of(machine("there")) == 2


@pytest.mark.parametrize("damaged", [b"", b"no zip", b"PK\5\6", "truncated", "a hole"])
def test_where_no_archive_is_whole_one_sentence_says_so(damaged, run, mount, machine, capsys):
    (run.folder / "images.npz").write_bytes(bytes(range(256)) * 100)
    save(run, 1, 2)
    for path in mount.iterdir():
        whole = path.read_bytes()
        cut = {"truncated": whole[:-1000], "a hole": whole[:2000] + whole[-300:]}
        path.write_bytes(cut.get(damaged, damaged))
    before = contents(mount)
    with pytest.raises(ValueError) as failure:
        machine("there")
    assert str(failure.value) == (
        f"No archive of {RUN} on Drive can be read; move them away and run again."
    )
    assert [line.split()[0] for line in lines(capsys)[-2:]] == [SECOND, FIRST]
    assert contents(mount) == before
    assert names(run.folder.parent.parent / "there") == []


def test_a_machine_with_work_of_its_own_heals_a_drive_of_damaged_archives(run, mount, machine):
    save(run, 1, 2)
    for path in mount.iterdir():
        truncate(path)
    save(machine("here"), 3)
    assert names(mount) == [THIRD]
    assert epochs_of(machine("there")) == 3


@pytest.mark.parametrize("position", [60, 100, 200])
def test_a_damaged_archive_that_is_compressed(position, run, mount, machine):
    """Of damaged deflate, zlib raises errors of its own."""
    save(run, 1)
    with zipfile.ZipFile(mount / SECOND, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("history.csv", "".join(map(str, range(1000))))
        archive.comment = SOME_ID
    data = bytearray((mount / SECOND).read_bytes())
    data[position : position + 20] = b"\xff" * 20
    (mount / SECOND).write_bytes(data)
    assert epochs_of(machine("there")) == 1


def test_a_zip_from_elsewhere_is_no_archive(mount, machine):
    mount.mkdir()
    with zipfile.ZipFile(mount / FIRST, "w") as archive:
        archive.writestr("history.csv", "epoch\n1")
    with pytest.raises(ValueError, match="No archive"):
        machine("here")


# A Drive that fails


@pytest.mark.parametrize(
    ("owner", "name"),
    [(os, "listdir"), (shutil, "copyfile"), (os, "replace"), (drive, "sha256")],
    ids=["listing", "copy", "rename", "read-back"],
)
def test_a_failing_mount_costs_a_line(owner, name, run, mount, machine, monkeypatch, capsys):
    save(run, 1, 2)
    before = contents(mount)
    capsys.readouterr()
    with monkeypatch.context() as patch:
        break_for(patch, owner, name, mount, OSError(errno.EIO, "Input/output error"))
        save(run, 3)
    assert lines(capsys) == ["Not saved to Drive: [Errno 5] Input/output error."]
    assert contents(mount) == before
    save(machine("here"), 4)
    assert names(mount) == [SECOND, THIRD]
    assert epochs_of(machine("there")) == 4


def test_a_drive_that_goes_away_is_not_replaced_by_a_folder_here(run, mount, capsys):
    save(run, 1)
    shutil.rmtree(mount)
    save(run, 2)
    assert lines(capsys)[-1].startswith("Not saved to Drive: [")
    assert not mount.exists()


def test_a_failing_mount_costs_the_fetching_a_line(run, mount, machine, monkeypatch, capsys):
    save(run, 1)
    break_for(monkeypatch, os, "listdir", mount, OSError(errno.EIO, "Input/output error"))
    there = machine("there")
    assert lines(capsys)[-1] == "Not fetched from Drive: [Errno 5] Input/output error."
    assert there.drive == mount and not there.folder.exists()


def test_an_archive_that_drive_does_not_give_is_passed_over_and_kept(
    run, mount, machine, monkeypatch, capsys
):
    save(run, 1, 2)
    theirs = contents(mount)
    with monkeypatch.context() as patch:
        break_for(patch, shutil, "copyfile", mount / SECOND, OSError(errno.EIO, "quota"))
        there = machine("there")
        assert lines(capsys)[-2] == f"{SECOND} on Drive cannot be read ([Errno 5] quota)."
        assert epochs_of(there) == 1
    save(there, 9)  # it is whole after all
    assert "another machine has saved" in lines(capsys)[-1]
    assert contents(mount) == theirs


def test_a_full_drive_costs_a_line_and_no_archive(run, mount, monkeypatch, capsys):
    save(run, 1, 2)
    before = contents(mount)

    def full(source, target):
        Path(target).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    save(run, 3)
    assert lines(capsys)[-1] == "Not saved to Drive: [Errno 28] No space left on device."
    assert contents(mount) == before


@pytest.mark.parametrize(
    "alter", [lambda data: data[:-1], lambda data: b"Q" + data[1:], lambda data: b""]
)
def test_a_copy_that_is_not_what_was_written_is_no_archive(
    alter, run, mount, monkeypatch, machine, capsys
):
    save(run, 1, 2)
    before = contents(mount)

    def careless(source, target):
        Path(target).write_bytes(alter(Path(source).read_bytes()))

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", careless)
        save(run, 3)
    assert lines(capsys)[-1] == "Not saved to Drive: the copy is not what was written."
    assert contents(mount) == before
    save(run, 4)
    assert epochs_of(machine("there")) == 4


def test_what_cannot_be_removed_costs_a_line_and_goes_later(run, mount, monkeypatch, capsys):
    save(run, 1, 2)
    with monkeypatch.context() as patch:
        break_for(patch, Path, "unlink", mount / FIRST, PermissionError(errno.EACCES, "not yours"))
        save(run, 3)
    saved, not_removed = lines(capsys)[-2:]
    assert saved.startswith(f"Saved to Drive: {THIRD}, ")
    assert not_removed == f"Not removed from Drive: {FIRST} (not yours)."
    assert names(mount) == [FIRST, SECOND, THIRD]
    save(run, 4)
    assert names(mount) == [THIRD, FOURTH]


def test_a_bug_shows_and_does_not_shut_the_run_out(run, mount, machine, monkeypatch):
    save(run, 1)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", lambda source, target: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            save(run, 2)
    save(machine("here"), 3)
    assert names(mount) == [FIRST, SECOND]


COPY_HALF = """
import os, shutil, sys, time
from pathlib import Path
import helpers

def copy_half(source, target):
    data = Path(source).read_bytes()
    with open(target, "wb") as file:
        file.write(data[: len(data) // 2])
        file.flush()
        os.fsync(file.fileno())
        print("half", flush=True)
        time.sleep(600)

run = helpers.open_run("mnist", save_to_drive=sys.argv[1])
shutil.copyfile = copy_half
helpers.save_run(run)
"""


def test_a_save_that_is_killed_in_mid_copy(run, mount, machine, capsys):
    save(run, 1, 2)
    before = contents(mount)
    work(run, 3)
    killed = subprocess.Popen(
        [sys.executable, "-c", COPY_HALF, str(mount)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert killed.stdout.readline() == "half\n"
    finally:
        killed.kill()
        killed.communicate()
    assert killed.returncode
    (partial,) = set(names(mount)) - set(before)
    assert partial.startswith(".") and (mount / partial).stat().st_size > 0
    there = machine("there")
    assert epochs_of(there) == 2
    assert lines(capsys)[-1] == f"Fetched from Drive: {SECOND}."
    (mount / partial).rename(mount / partial.replace("0003", "0001"))  # of an earlier save
    save(there, 4)
    assert names(mount) == [SECOND, THIRD]
    assert epochs_of(machine("elsewhere")) == 4


# Hostile archives


def tree(folder):
    return sorted(folder.rglob("*"))


def write_hostile(path, name, content=b"evil", mode=0):
    """An archive with one more entry, whose name Python would not write as it is."""
    stand_in = "x" * len(name)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("history.csv", "epoch\n1")
        info = zipfile.ZipInfo(stand_in)
        info.external_attr = mode << 16
        archive.writestr(info, content)
        archive.comment = SOME_ID
    path.write_bytes(path.read_bytes().replace(stand_in.encode(), name.encode()))


@pytest.mark.parametrize(
    "name",
    [
        "/tmp/evil", "//server/evil", "C:evil", "c:/evil", "../evil", "previews/../../evil",
        "previews/..", "..\\evil", "previews\\evil", "\\evil", "evil\0.txt",
    ],
)  # fmt: skip
def test_an_entry_that_leads_out_is_refused(name, run, mount, machine, tmp_path):
    save(run, 1)
    write_hostile(mount / SECOND, name)
    (tmp_path / "there").mkdir()
    before = tree(tmp_path)
    with pytest.raises(ValueError) as failure:
        machine("there")
    shown = repr(name.replace("\0", "?"))
    assert str(failure.value) == (
        f"{SECOND} on Drive is refused: its entry {shown} leads out of the run's folder; move it "
        "away and run again."
    )
    assert tree(tmp_path) == before


def test_a_link_is_refused(run, mount, machine, tmp_path):
    write_hostile(mount / FIRST, "previews", b"/etc", stat.S_IFLNK | 0o777)
    (tmp_path / "there").mkdir()
    before = tree(tmp_path)
    with pytest.raises(ValueError, match=rf"{FIRST} .* refused: its entry 'previews' is a link;"):
        machine("there")
    assert tree(tmp_path) == before


def test_more_than_fits_on_the_disk_is_refused(run, mount, machine, tmp_path, monkeypatch):
    with zipfile.ZipFile(mount / FIRST, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("small.npy", "large.npy", "last.npy"):
            archive.writestr(name, bytes(400_000))
        archive.comment = SOME_ID
    (tmp_path / "there").mkdir()
    before = tree(tmp_path)
    usage = shutil.disk_usage
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: usage(path)._replace(free=799_999))
        with pytest.raises(ValueError, match=r"refused: with its entry 'large\.npy' it is larger"):
            machine("there")
        assert tree(tmp_path) == before
        patch.setattr(shutil, "disk_usage", lambda path: usage(path)._replace(free=1_200_000))
        machine("there")
    assert names(tmp_path / "there" / RUN) == [drive.KNOWN, "large.npy", "last.npy", "small.npy"]


def test_entries_that_contradict_each_other_leave_nothing_behind(run, mount, machine, tmp_path):
    write_hostile(mount / FIRST, "history.csv/evil")
    (tmp_path / "there").mkdir()
    before = tree(tmp_path)
    with pytest.raises(ValueError, match="No archive"):
        machine("there")
    assert tree(tmp_path) == before


# The mount in Colab


@pytest.fixture
def colab(monkeypatch):
    """Makes this Python one of Colab, whose `drive.mount` is the function given."""

    def make(mount=lambda mount_point: None):
        stand_in = SimpleNamespace(drive=SimpleNamespace(mount=mount))
        monkeypatch.setitem(sys.modules, "google.colab", stand_in)

    return make


def test_a_drive_that_cannot_be_mounted_costs_a_line(colab, capsys):
    def refuse(mount_point):
        raise ValueError("mount failed")

    colab(refuse)
    run = helpers.open_run("mnist", save_to_drive="/content/drive/MyDrive/course")
    assert run.drive is None
    assert lines(capsys) == ["Drive is not there (mount failed); this run stays on this machine."]


@pytest.mark.parametrize("in_colab", [True, False])
def test_a_folder_that_cannot_be_made_costs_a_line(in_colab, colab, mount, monkeypatch, capsys):
    if in_colab:
        colab()
    gone = OSError(errno.ENOTCONN, "Transport endpoint is not connected")
    break_for(monkeypatch, os, "mkdir", mount, gone)
    run = helpers.open_run("mnist", name="stays-here", save_to_drive=str(mount / "course"))
    (line,) = lines(capsys)
    assert run.drive is None
    assert line == f"Drive is not there ({gone}); this run stays on this machine."


def test_pictures_on_drive_are_opened_and_no_folder_takes_their_name(colab, mount, monkeypatch):
    monkeypatch.setattr(drive, "MOUNT_POINT", str(mount))
    monkeypatch.setattr("helpers.data.preparation.MOUNT_POINT", str(mount))
    mounted = []
    colab(mounted.append)
    with pytest.raises(ValueError, match="There is no data set"):
        helpers.open_run(str(mount / "photos.zip"), name="photos")
    assert mounted == [str(mount)]
    assert not (mount / "photos.zip").exists()


@pytest.mark.parametrize("folder", ["MyDrive/course", "course"])
def test_half_a_path_is_refused(folder):
    with pytest.raises(ValueError, match=f"SAVE_TO_DRIVE is '{folder}'; .*whole path"):
        helpers.open_run("mnist", save_to_drive=folder)


def test_training_copies_now_and_then(run, monkeypatch):
    now = [0.0]
    copies = []
    monkeypatch.setattr("helpers.training.callbacks.time.monotonic", lambda: now[0])
    monkeypatch.setattr("helpers.training.callbacks.save_run", lambda run: copies.append(now[0]))
    callback = callbacks.SaveToDrive(run)
    callback.on_train_begin()
    for now[0] in (50, 119, 121, 130, 240, 242):
        callback.on_epoch_end(0)
    assert copies == [121, 242]
