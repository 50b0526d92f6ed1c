"""The verdict on an exercise: one line, and never an exception."""

import numpy as np
import pytest
import tensorflow as tf

from helpers import check


class Unprintable:
    def __str__(self):
        raise RuntimeError("cannot be printed")

    __repr__ = __str__


def fail(answer):
    raise ArithmeticError("first line\nsecond line")


@pytest.mark.parametrize(
    ("arguments", "verdict"),
    [
        (dict(answer=None, expected=3), "Unanswered"),
        (dict(answer=None, passes=fail), "Unanswered"),
        (dict(answer=3, expected=3), "Right"),
        (dict(answer=np.int64(3), expected=3.0), "Right"),
        (dict(answer=0, expected=0), "Right"),
        (dict(answer=4, expected=3), "Not yet"),
        (dict(answer=3.04, expected=3, tolerance=0.05), "Right"),
        (dict(answer=3.06, expected=3, tolerance=0.05), "Not yet"),
        (dict(answer=1e9, expected=1e9 + 1), "Not yet"),
        (dict(answer=float("nan"), expected=3), "Not yet"),
        (dict(answer=(7, 7, 256), expected=(7, 7, 256)), "Right"),
        (dict(answer=[7, 7, 256], expected=(7, 7, 256)), "Right"),
        (dict(answer=(7, 7), expected=(7, 7, 256)), "Not yet"),
        (dict(answer=7, expected=(7, 7)), "Not yet"),
        (dict(answer=np.ones((2, 2)), expected=np.ones((2, 2))), "Right"),
        (dict(answer=np.ones((2, 2)), expected=1), "Not yet"),
        (dict(answer=np.ones(2), expected=np.zeros(2)), "Not yet"),
        (dict(answer=tf.constant([1.0, 2.0]), expected=[1, 2]), "Right"),
        (dict(answer=True, expected=True), "Right"),
        (dict(answer=False, expected=True), "Not yet"),
        (dict(answer=" Coat ", expected="coat"), "Right"),
        (dict(answer="Shirt", expected="coat"), "Not yet"),
        (dict(answer="many", expected=3), "Not yet"),
        (dict(answer=len, expected=3), "Not yet"),
        (dict(answer=Unprintable(), expected="coat"), "Not yet"),
        (dict(answer=4, passes=lambda answer: answer > 3), "Right"),
        (dict(answer=2, passes=lambda answer: answer > 3), "Not yet"),
        (dict(answer=2, passes=lambda answer: np.ones(3)), "Not yet"),
        (dict(answer=2, passes=lambda answer: answer()), "Not yet"),
        (dict(answer=2, passes=fail), "Not yet"),
    ],
)
def test_verdict(arguments, verdict, capsys):
    assert check(**arguments) is None
    printed = capsys.readouterr().out
    assert printed.startswith(verdict)
    assert len(printed.splitlines()) == 1


def test_not_yet_brings_the_hint_and_the_error(capsys):
    check(2, 3, hint="Count again.")
    check(2, passes=fail, hint="Count again.")
    check(3, 3, hint="Count again.")
    check(None, 3, hint="Count again.")
    wrong, raised, right, unanswered = capsys.readouterr().out.splitlines()
    assert wrong.endswith("Count again.") and raised.endswith("Count again.")
    assert "ArithmeticError" in raised and "first line" in raised
    assert "Count again." not in right + unanswered
