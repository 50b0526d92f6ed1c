"""Every lesson alone on a new machine: an empty folder, a clone, a stand-in for `google.colab`."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from contextlib import contextmanager
from types import SimpleNamespace

import nbformat
import papermill
import pytest
from lessons import NOTEBOOKS, RUN, edit_the_generator, edited_shapes, printed, shapes, weights

import helpers
from helpers import browser, environment, packages
from helpers.machine import ROOT, current_profile

STAND_IN = ROOT / "tests" / "colab_stand_in"
LESSONS = sorted(NOTEBOOKS.glob("*.ipynb"))
NOT_THE_COURSE = (".git", ".venv*", "runs", "__pycache__", ".pytest_cache", ".ruff_cache")


def set_up_source():
    notebook = nbformat.read(LESSONS[0], as_version=nbformat.NO_CONVERT)
    return notebook.cells[1].source


def repository():
    (line,) = [line for line in set_up_source().splitlines() if line.startswith("REPOSITORY = ")]
    return line.split('"')[1]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """The course as it lies here, committed to a repository that git takes for the address."""
    folder = tmp_path_factory.mktemp("address") / "course"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*NOT_THE_COURSE))
    who = ["-c", "user.name=course", "-c", "user.email=course@example.org"]
    for command in (["init", "-q"], ["add", "-A"], [*who, "commit", "-q", "-m", "the course"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder.as_uri()


@contextmanager
def new_machine(address):
    """Kernels started here are Colab's, and reach `address` under the course's own address."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DCGAN_RUNS")
        patch.setenv("PYTHONPATH", str(STAND_IN))
        patch.setenv("GIT_CONFIG_COUNT", "1")
        patch.setenv("GIT_CONFIG_KEY_0", f"url.{address}.insteadOf")
        patch.setenv("GIT_CONFIG_VALUE_0", repository())
        yield


def open_alone(lesson, folder, address, **parameters):
    """Copy one lesson into an empty folder and run it there from top to bottom."""
    folder.mkdir(parents=True)
    shutil.copy(lesson, folder / lesson.name)
    with new_machine(address):
        executed = papermill.execute_notebook(
            folder / lesson.name,
            None,
            parameters,
            cwd=folder,
            kernel_name="python3",
            progress_bar=False,
        )
    course = folder / "dcgan-course"
    text = printed(executed)
    return SimpleNamespace(folder=folder, course=course, run=course / "runs" / RUN, text=text)


# Each lesson alone: so goes, too, a chain in which nothing is handed over


@pytest.fixture(scope="module", params=LESSONS, ids=lambda path: path.stem)
def alone(request, tmp_path_factory, clone):
    machine = tmp_path_factory.mktemp("machine") / "content"
    return open_alone(request.param, machine, clone), request.param


def test_a_lesson_alone_runs_from_top_to_bottom(alone):
    machine, lesson = alone
    first, second, third = machine.text.splitlines()[:3]
    assert first.endswith(f"Colab, CPU, {os.cpu_count()} cores")
    assert second.startswith("Profile tiny")
    assert third == "No GPU here. For one: Runtime > Change runtime type > T4 GPU, then run again."
    left = {path.name for path in machine.folder.iterdir()} - {"downloads"}
    assert left == {lesson.name, "dcgan-course"}


def test_a_lesson_alone_makes_what_is_missing_and_says_so(alone):
    machine, lesson = alone
    number = int(lesson.name[:2])
    made = {path.name for path in machine.run.iterdir()} if machine.run.exists() else set()
    expected, lines = {
        1: (set(), ["Trained networks: the shipped ones"]),
        2: (set(), []),
        3: ({"generator.keras", "discriminator.keras"}, []),
        4: ({"training.gif", "history.csv"}, ["Networks: built now with the cells of notebook 3."]),
        5: ({"metrics.json"}, ["Trained networks: the shipped ones"]),
    }[number]
    if number > 1:
        expected |= {"images.npz", "dataset.json"}
        lines.append("Images: made now from the course's assets")
    assert expected <= made
    assert all(line in machine.text for line in lines), machine.text
    assert "yours" not in machine.text


def test_lesson_4_downloads_the_gif_and_the_generator(alone):
    machine, lesson = alone
    downloads = machine.folder / "downloads"
    if lesson.name.startswith("04"):
        for name in ("training.gif", "generator_trained.keras"):
            assert (downloads / name).read_bytes() == (machine.run / name).read_bytes()
    else:
        assert not downloads.exists()


# The chain with Drive: the learner's own generator arrives in lessons 4 and 5


@pytest.fixture(scope="module")
def chain(tmp_path_factory, clone):
    """Lessons 2 to 5 on four machines that share a folder of Drive; lesson 3 is edited."""
    folder = tmp_path_factory.mktemp("chain")
    edited = folder / LESSONS[2].name
    edit_the_generator(edited)
    save_to_drive = {"SAVE_TO_DRIVE": str(folder / "MyDrive" / "course")}
    return [
        open_alone(lesson, folder / lesson.stem, clone, **save_to_drive)
        for lesson in (LESSONS[1], edited, LESSONS[3], LESSONS[4])
    ]


def test_the_edited_generator_arrives(chain):
    preparation, architecture, training, evaluation = chain
    assert not (preparation.run / "generator.keras").exists()
    for machine in (architecture, training, evaluation):
        assert shapes(weights(machine.run / "generator.keras")) == edited_shapes()
    for machine in (training, evaluation):
        assert shapes(weights(machine.run / "generator_trained.keras")) == edited_shapes()
    assert f"Networks: yours, from runs/{RUN}." in training.text
    assert f"Trained networks: yours, from runs/{RUN}." in evaluation.text
    metrics = json.loads((evaluation.run / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["networks"] == f"runs/{RUN}"
    assert metrics["scores"]["last epoch"]["frechet"]["real"] == current_profile().samples


def test_images_are_prepared_on_the_first_machine_only(chain):
    assert "Images: made now" in chain[0].text
    for machine in chain[1:]:
        assert f"Images: yours, from runs/{RUN}/images.npz." in machine.text


def test_drive_is_mounted_and_holds_the_last_two_archives(chain):
    for machine in chain:
        assert "Mounted at /content/drive" in machine.text
        assert f"Saved to Drive: {RUN}.0" in machine.text
    drive_folder = chain[0].folder.parent / "MyDrive" / "course"
    _, newest = archives = sorted(drive_folder.iterdir())
    assert all(re.fullmatch(rf"{RUN}\.[0-9]{{4}}\.zip", path.name) for path in archives)
    last = {path.name: path.read_bytes() for path in chain[-1].run.iterdir() if path.is_file()}
    with zipfile.ZipFile(newest) as archive:
        for name in ("metrics.json", "training.gif", "generator_trained.keras"):
            assert archive.read(name) == last[name]


# The set-up cell


def run_set_up(patch, working_directory, **names):
    """Execute the set-up cell in this Python and return the root it found."""
    patch.chdir(working_directory)
    patch.setattr(sys, "path", [*sys.path])
    names["__name__"] = "__main__"
    exec(set_up_source(), names)
    return names["root"]


@pytest.mark.parametrize("place", [".", "notebooks", "tests/colab_stand_in/google", ".."])
def test_the_root_is_found_from_anywhere(place, tmp_path, monkeypatch):
    course = tmp_path / "my course ä"
    shutil.copytree(ROOT / "helpers", course / "helpers")
    (course / "notebooks").mkdir()
    (course / "tests/colab_stand_in/google").mkdir(parents=True)
    assert run_set_up(monkeypatch, course / place) == course


def test_the_root_is_found_by_the_path_that_vs_code_tells(tmp_path, monkeypatch):
    lesson = str(NOTEBOOKS / "01_introduction.ipynb")
    assert run_set_up(monkeypatch, tmp_path, __vsc_ipynb_file__=lesson) == ROOT


def test_a_zip_unpacked_beside_the_notebook_is_found(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "helpers", tmp_path / "somebodys-course-main" / "helpers")
    assert run_set_up(monkeypatch, tmp_path) == tmp_path / "somebodys-course-main"


def test_an_address_that_does_not_answer_gives_one_sentence_and_leaves_nothing(
    tmp_path, monkeypatch
):
    with new_machine((tmp_path / "nowhere").as_uri()):
        (tmp_path / "content").mkdir()
        with pytest.raises(RuntimeError) as failure:
            run_set_up(monkeypatch, tmp_path / "content")
    for part in (f"Could not fetch {repository()} (", "nowhere", "!unzip -q *.zip"):
        assert part in str(failure.value)
    assert not list((tmp_path / "content").iterdir())


def test_kaggle_is_told_where_its_gpu_is(monkeypatch, capsys):
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    monkeypatch.setattr(environment, "has_gpu", lambda: False)
    helpers.describe_machine()
    printed_lines = capsys.readouterr().out.splitlines()
    assert "Kaggle, CPU" in printed_lines[0]
    assert printed_lines[-1].startswith("No GPU here. For one: Settings > Accelerator > GPU")


# Packages


@pytest.fixture
def machine_without(monkeypatch):
    """A machine that lacks some packages; returns the commands that were run on it."""

    def make(*missing, place):
        commands = []
        monkeypatch.setattr(packages, "find_spec", lambda name: name not in missing or None)
        monkeypatch.setattr(packages, "hosting", lambda: place)
        monkeypatch.setattr(packages.subprocess, "run", lambda c, check: commands.append(c))
        return commands

    return make


@pytest.mark.parametrize("place", ["Colab", "Kaggle"])
def test_a_hosted_machine_gets_what_it_lacks_and_nothing_else(place, machine_without):
    commands = machine_without(place=place)
    packages.require_packages()
    assert commands == []
    commands = machine_without("imageio", place=place)
    packages.require_packages()
    assert [command[1:] for command in commands] == [["-m", "pip", "install", "--quiet", "imageio"]]


@pytest.mark.parametrize("name", ["tensorflow", "keras", "numpy", "IPython"])
def test_what_a_session_rests_on_is_never_installed(name, machine_without):
    commands = machine_without(name, "imageio", place="Colab")
    with pytest.raises(ImportError, match=rf"no (?=.*\b{name}\b)[\w, ]+; choose one with a GPU"):
        packages.require_packages()
    assert commands == []


def test_nothing_is_installed_on_ones_own_machine(machine_without):
    commands = machine_without("imageio", place="")
    with pytest.raises(ImportError, match=r"no imageio\. .*pip install -r requirements\.txt"):
        packages.require_packages()
    assert commands == []


@pytest.mark.parametrize("found", ["3.13.2", "3.15.1", "4.0.0"])
def test_a_keras_that_is_new_enough(found, machine_without, monkeypatch):
    machine_without(place="Colab")
    monkeypatch.setattr(packages, "version", lambda name: found)
    packages.require_packages()


def test_an_old_keras_is_named_after_an_installation_too(machine_without, monkeypatch):
    machine_without("imageio", place="Kaggle")
    monkeypatch.setattr(packages, "version", lambda name: "3.10.0")
    with pytest.raises(ImportError, match=r"has Keras 3\.10\.0"):
        packages.require_packages()


@pytest.mark.parametrize("found", ["2.15.0", "3.9.0", "3.12.1"])
def test_an_old_keras_is_named_with_the_remedy(found, machine_without, monkeypatch):
    commands = machine_without(place="Kaggle")
    monkeypatch.setattr(packages, "version", lambda name: found)
    with pytest.raises(ImportError, match=f"has Keras {found}; .*install --upgrade keras"):
        packages.require_packages()
    assert commands == []


# Downloads


def test_a_download_elsewhere_is_a_link_that_leads_to_the_file(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(browser, "ROOT", tmp_path)
    monkeypatch.setattr(browser, "display", lambda output: shown.append(output.data))
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "runs ä").mkdir()
    (tmp_path / "runs ä" / "training.gif").write_bytes(b"GIF")
    monkeypatch.chdir(tmp_path / "notebooks")
    helpers.download(tmp_path / "runs ä" / "training.gif")
    assert shown == ['<a href="../runs%20%C3%A4/training.gif" download>training.gif</a>']


def test_a_download_that_jupyter_cannot_serve_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DCGAN_RUNS", str(tmp_path))
    (tmp_path / "training.gif").write_bytes(b"GIF")
    helpers.download(tmp_path / "training.gif")
    assert capsys.readouterr().out == "The file is runs/training.gif.\n"


def test_a_download_of_nothing_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"training\.gif does not exist"):
        helpers.download(tmp_path / "training.gif")
