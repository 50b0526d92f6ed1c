"""What a lesson and its learner exchange: answers that are checked, a download."""

import os
from pathlib import Path
from urllib.parse import quote

import numpy as np
from IPython.display import HTML, display

from helpers.files import load_json, require_file
from helpers.machine import ASSETS, ROOT, describe_machine, hosting, short
from helpers.plots import use_course_style


def check(answer, expected=None, *, passes=None, tolerance=0.0, hint="") -> None:
    """Compare a learner's answer with the truth and print the verdict in one line.

    Args:
        answer: the learner's answer; None counts as unanswered.
        expected: the truth, computed by the cell that calls; numbers, arrays, text or shapes. A
            share between 0 and 1 may be answered in per cent.
        passes: instead of `expected`, a function of the answer that returns True when it is right.
        tolerance: largest difference to a number or array that still counts as right.
        hint: lesson and name of what is said after a wrong answer, such as "01/losses", which is
            `losses` in `assets/hints/01.json`: out of sight until it is needed.

    Raises:
        KeyError: there is no such hint.
    """
    hint = _hint(hint) if hint else ""
    if answer is None:
        print("Unanswered: replace None with your answer and run the cell again.")
        return
    try:
        right, problem = _is_right(answer, expected, passes, tolerance), ""
        share = passes is None and isinstance(expected, float) and 0 < expected < 1
        if not right and share and _is_right(answer, 100 * expected, None, 100 * tolerance + 1e-9):
            print(f"Right: {answer} per cent, which is a share of {expected:.4g}.")
            return
    except Exception as error:  # a learner's function may fail in any way
        reason = " ".join(str(error).split())
        right, problem = False, f" Your answer raised {type(error).__name__}: {reason}."
    print("Right." if right else f"Not yet.{problem} {hint}".rstrip())


def _is_right(answer, expected, passes, tolerance) -> bool:
    if passes is not None:
        return bool(passes(answer))
    if isinstance(expected, str):
        return str(answer).strip().lower() == expected.lower()
    return np.shape(answer) == np.shape(expected) and np.allclose(
        np.asarray(answer, float), np.asarray(expected, float), rtol=0, atol=tolerance
    )


def _hint(name) -> str:
    lesson, _, key = name.partition("/")
    return load_json(ASSETS / "hints" / f"{lesson}.json")[key]


def download(path) -> None:
    """Send a file to the browser in Colab; elsewhere show a link, or say where the file is.

    Raises:
        FileNotFoundError: there is no such file.
    """
    path = Path(path)
    require_file(path)
    if hosting() == "Colab":
        from google.colab import files

        files.download(str(path))
    elif path.is_relative_to(ROOT):  # what Jupyter can serve
        link = Path(os.path.relpath(path)).as_posix()
        display(HTML(f'<a href="{quote(link)}" download>{short(path)}</a>'))
    else:
        print(f"The file is {short(path)}.")


def set_up() -> None:
    """The start of every lesson: figures in the course's style, and a word about the machine."""
    use_course_style()
    describe_machine()
