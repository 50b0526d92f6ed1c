"""Profiles, run folders, printed paths, supported versions, and what happens on import."""

import os
import platform
import subprocess
import sys

import matplotlib
import pytest

import helpers
from helpers import machine


@pytest.mark.parametrize(("variable", "gpu", "name"), [
    ("tiny", True, "tiny"), ("", True, "full"), ("", False, "quick"),
])  # fmt: skip
def test_the_profile_is_the_one_named_else_the_one_of_the_device(variable, gpu, name, monkeypatch):
    monkeypatch.setenv("DCGAN_PROFILE", variable)
    monkeypatch.setattr(machine, "has_gpu", lambda: gpu)
    assert machine.current_profile().name == name


def test_an_unknown_profile_is_refused_with_the_names_there_are(monkeypatch):
    monkeypatch.setenv("DCGAN_PROFILE", "huge")
    with pytest.raises(ValueError) as refusal:
        machine.current_profile()
    assert str(refusal.value) == (
        "DCGAN_PROFILE is 'huge', which is no profile; use one of tiny, quick, full."
    )


def test_every_profile_scores_as_many_images_as_it_holds_out():
    for profile in machine.PROFILES.values():
        assert profile.held_out_images is None or profile.samples <= profile.held_out_images


def test_a_relative_runs_folder_is_one_folder_from_everywhere(tmp_path, monkeypatch):
    """A notebook's kernel works in notebooks/, the command that starts it elsewhere."""
    monkeypatch.setenv("DCGAN_RUNS", "mine")
    monkeypatch.chdir(tmp_path)
    assert machine.runs_folder() == machine.ROOT / "mine"


@pytest.mark.parametrize("runs", ["", "mine", "/somewhere/lies here"])
def test_printed_paths_name_no_folder_of_the_machine(runs, tmp_path, monkeypatch):
    monkeypatch.setenv("DCGAN_RUNS", runs)
    inside = machine.runs_folder() / "shirts" / "training.gif"
    assert machine.short(inside) == "runs/shirts/training.gif"
    assert machine.short(machine.ROOT / "assets" / "a.npz") == "assets/a.npz"
    assert machine.short(tmp_path / "x.csv") == "x.csv"


@pytest.mark.parametrize(("place", "menu"), [
    ("google.colab", "Runtime > Change runtime type > T4 GPU"),
    ("KAGGLE_KERNEL_RUN_TYPE", "Settings > Accelerator > GPU"),
    (None, None),
])  # fmt: skip
def test_the_machine_is_described_and_where_a_gpu_is_for_the_asking(
    place, menu, monkeypatch, capsys
):
    monkeypatch.setenv("DCGAN_PROFILE", "full")
    monkeypatch.setattr(machine, "has_gpu", lambda: False)
    if place == "google.colab":
        monkeypatch.setitem(sys.modules, place, sys)
    elif place:
        monkeypatch.setenv(place, "Interactive")
    machine.describe_machine()
    lines = capsys.readouterr().out.splitlines()
    assert "CPU" in lines[0] and lines[1] == "Profile full: all images, 6 epochs"
    assert lines[2:] == ([f"No GPU here. For one: {menu}, then run again."] if place else [])


@pytest.mark.parametrize("version", [(3, 10, 14), (3, 14, 0)])
def test_another_python_is_refused_in_one_sentence(version):
    with pytest.raises(SystemExit) as refusal:
        machine.require_python(version)
    message = refusal.value.code
    assert "3.11 to 3.13, and this is Python {}.{}: ".format(*version) in message
    assert "\n" not in message


def test_python_is_checked_before_anything_is_installed():
    command = [sys.executable, "-I", "-S", machine.__file__]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")


IMPORT = """
import os, runpy, sys
sys.path.insert(0, sys.argv[1])
{before}
runpy.run_path(sys.argv[2])["import_tensorflow"]()
print("oneDNN", os.environ.get("TF_ENABLE_ONEDNN_OPTS"))
"""


@pytest.fixture
def imported(tmp_path):
    """What `import_tensorflow` prints and raises in a new process, with stand-ins for both."""

    def run(before="", tensorflow="", keras="__version__ = '3.13.2'", **environment):
        (tmp_path / "tensorflow.py").write_text(tensorflow, encoding="utf-8")
        (tmp_path / "keras.py").write_text(keras, encoding="utf-8")
        inherited = {k: v for k, v in os.environ.items() if k != "TF_ENABLE_ONEDNN_OPTS"}
        finished = subprocess.run(
            [sys.executable, "-c", IMPORT.format(before=before), tmp_path, machine.__file__],
            capture_output=True, text=True, check=False, env=inherited | environment,
        )  # fmt: skip
        return finished.stdout.splitlines(), finished.stderr

    return run


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="oneDNN is an option of x86-64"
)
def test_onednn_is_switched_on_unless_the_user_says_otherwise_or_it_is_too_late(imported):
    assert imported() == (["oneDNN 1"], "")
    assert imported(TF_ENABLE_ONEDNN_OPTS="0") == (["oneDNN 0"], "")
    (warning, _), _ = imported(before="import tensorflow")
    assert warning.startswith("TensorFlow was imported before the course, so")


def test_what_is_missing_or_too_old_is_named(imported):
    _, error = imported(tensorflow="raise ModuleNotFoundError('no', name='tensorflow')")
    assert "ImportError: This Python has no tensorflow. Run `python -m pip install" in error
    _, error = imported(keras="__version__ = '3.12.1'")
    assert "ImportError: This machine has Keras 3.12.1; the course needs 3.13 or newer." in error


def test_a_lesson_styles_figures_and_importing_the_course_does_not():
    with matplotlib.rc_context():
        plain = matplotlib.rcParamsDefault["axes.spines.top"], matplotlib.rcParams["font.size"]
        assert plain == (matplotlib.rcParams["axes.spines.top"], 10)
        helpers.set_up()
        assert matplotlib.rcParams["figure.facecolor"] == "white"
        assert not matplotlib.rcParams["axes.spines.top"]
