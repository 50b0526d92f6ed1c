"""Profiles, run folders, printed paths and the supported Pythons."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import environment, python_version


@pytest.mark.parametrize("name", ["tiny", "quick", "full"])
def test_profile_by_name(name, monkeypatch):
    monkeypatch.setenv("DCGAN_PROFILE", name)
    assert environment.current_profile().name == name


@pytest.mark.parametrize("unset", [None, ""])
@pytest.mark.parametrize(("gpu", "name"), [(True, "full"), (False, "quick")])
def test_profile_by_device(gpu, name, unset, monkeypatch):
    monkeypatch.delenv("DCGAN_PROFILE", raising=False)
    if unset is not None:
        monkeypatch.setenv("DCGAN_PROFILE", unset)
    monkeypatch.setattr(environment, "has_gpu", lambda: gpu)
    assert environment.current_profile().name == name


def test_profiles_grow_in_work():
    tiny, quick, full = (environment.PROFILES[name] for name in ("tiny", "quick", "full"))
    assert tiny.train_images < quick.train_images and full.train_images is None
    assert tiny.held_out_images < quick.held_out_images and full.held_out_images is None
    assert tiny.samples < quick.samples <= full.samples
    # A score compares equal numbers of generated and of held-out images.
    assert tiny.samples <= tiny.held_out_images and quick.samples <= quick.held_out_images


def test_runs_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DCGAN_RUNS", str(tmp_path / "elsewhere"))
    assert environment.runs_folder() == tmp_path / "elsewhere"
    monkeypatch.delenv("DCGAN_RUNS")
    assert environment.runs_folder() == environment.ROOT / "runs"


def test_relative_runs_folder_is_one_folder_from_everywhere(tmp_path, monkeypatch):
    """A notebook's kernel works in notebooks/, the command that starts it elsewhere."""
    monkeypatch.setenv("DCGAN_RUNS", "mine")
    folders = set()
    for place in (environment.ROOT, environment.ROOT / "notebooks", tmp_path):
        monkeypatch.chdir(place)
        folders.add(environment.runs_folder().resolve())
    assert folders == {environment.ROOT / "mine"}


@pytest.mark.parametrize("runs", ["", "mine", "ABSOLUTE"])
def test_short_is_never_absolute(runs, tmp_path, monkeypatch):
    monkeypatch.setenv("DCGAN_RUNS", str(tmp_path / "lies here") if runs == "ABSOLUTE" else runs)
    inside = environment.runs_folder() / "shirts" / "training.gif"
    assert environment.short(inside) == "runs/shirts/training.gif"
    assert environment.short(str(inside)) == "runs/shirts/training.gif"
    assert environment.short(environment.ROOT / "assets" / "a.npz") == "assets/a.npz"
    for path in (tmp_path / "x.csv", Path("/"), Path("/etc/hosts"), environment.ROOT, "relative/x"):
        text = environment.short(path)
        assert not Path(text).is_absolute() and str(environment.ROOT) not in text


def test_describe_machine_says_profile_and_device(monkeypatch, capsys):
    monkeypatch.setenv("DCGAN_PROFILE", "full")
    monkeypatch.setattr(environment, "has_gpu", lambda: False)
    environment.describe_machine()
    printed = capsys.readouterr().out
    assert "CPU" in printed and "Profile full: all images" in printed
    assert len(printed.splitlines()) == 2
    monkeypatch.setitem(sys.modules, "google.colab", sys)
    environment.describe_machine()
    assert "Change runtime type" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize("version", [(3, 11), (3, 11, 0), (3, 12, 4), (3, 13, 9)])
def test_supported_python(version):
    python_version.require_supported_python(version)


@pytest.mark.parametrize("version", [(2, 7, 18), (3, 9), (3, 10, 14), (3, 14, 0), (4, 0)])
def test_unsupported_python(version):
    with pytest.raises(SystemExit) as caught:
        python_version.require_supported_python(version)
    message = caught.value.code
    assert "\n" not in message
    for part in ("{}.{}".format(*version), "3.11 to 3.13", "PYTHON="):
        assert part in message


def test_version_check_needs_no_package():
    """`make` runs it before anything is installed, perhaps by an old Python."""
    path = Path(python_version.__file__)
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 4))
    command = [sys.executable, "-I", "-S", str(path)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")
