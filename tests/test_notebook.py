"""The verdict on an exercise, and a download."""

import numpy as np
import pytest
import tensorflow as tf

import helpers
from helpers.machine import ROOT


def fail(answer):
    raise ArithmeticError("first line\nsecond line")


@pytest.fixture
def hints(tmp_path, monkeypatch):
    monkeypatch.setattr("helpers.notebook.ASSETS", tmp_path)
    helpers.save_json(tmp_path / "hints" / "09.json", {"count": "Count again."})


@pytest.mark.parametrize(("arguments", "verdict"), [
    (dict(answer=None, expected=3), "Unanswered"),
    (dict(answer=0, expected=0), "Right"),
    (dict(answer=3.04, expected=3, tolerance=0.05), "Right"),
    (dict(answer=3.06, expected=3, tolerance=0.05), "Not yet"),
    (dict(answer=[7, 7, 256], expected=(7, 7, 256)), "Right"),
    (dict(answer=7, expected=(7, 7)), "Not yet"),
    (dict(answer=tf.constant([1.0, 2.0]), expected=[1, 2]), "Right"),
    (dict(answer=np.ones(2), expected=np.zeros(2)), "Not yet"),
    (dict(answer=" Coat ", expected="coat"), "Right"),
    (dict(answer="many", expected=3), "Not yet"),
    (dict(answer=len, expected=3), "Not yet"),
    (dict(answer=4, passes=lambda answer: answer > 3), "Right"),
    (dict(answer=2, passes=lambda answer: np.ones(3)), "Not yet"),
    (dict(answer=0.3, expected=0.3), "Right."),
    (dict(answer=30, expected=0.3), "Right: 30 per cent, which is a share of 0.3."),
    (dict(answer=31, expected=0.3), "Not yet"),
    (dict(answer=31, expected=0.3, tolerance=0.02), "Right: 31 per cent"),
    (dict(answer=300, expected=3.0), "Not yet"),
])  # fmt: skip
def test_a_verdict_is_one_line(arguments, verdict, hints, capsys):
    helpers.check(**arguments, hint="09/count")
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(verdict)
    assert ("Count again." in line) == (verdict == "Not yet")


def test_a_hint_that_does_not_exist_is_noticed_before_it_is_needed(hints):
    with pytest.raises(KeyError):
        helpers.check(None, 3, hint="09/cuont")


def test_an_answer_that_fails_is_told_why(hints, capsys):
    helpers.check(2, passes=fail, hint="09/count")
    assert capsys.readouterr().out == (
        "Not yet. Your answer raised ArithmeticError: first line second line. Count again.\n"
    )


def test_a_download_is_a_link_where_jupyter_can_serve_the_file(monkeypatch):
    shown = []
    monkeypatch.setattr("helpers.notebook.display", lambda output: shown.append(output.data))
    monkeypatch.chdir(ROOT / "notebooks")
    helpers.download(ROOT / "assets" / "trained" / "mnist-28" / "training.gif")
    assert shown == [
        '<a href="../assets/trained/mnist-28/training.gif" download>'
        "assets/trained/mnist-28/training.gif</a>"
    ]


def test_a_download_elsewhere_names_the_file_or_refuses(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DCGAN_RUNS", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"^runs/training\.gif does not exist; run"):
        helpers.download(tmp_path / "training.gif")
    (tmp_path / "training.gif").write_bytes(b"GIF")
    helpers.download(tmp_path / "training.gif")
    assert capsys.readouterr().out == "The file is runs/training.gif.\n"
