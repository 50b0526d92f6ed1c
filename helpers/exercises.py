"""The self-check behind every exercise: says right, not yet or unanswered, and never raises."""

import numpy as np


def check(answer, expected=None, *, passes=None, tolerance=0.0, hint="") -> None:
    """Compare a learner's answer with the truth and print the verdict in one line.

    Args:
        answer: the learner's answer; None counts as unanswered.
        expected: the truth, computed by the cell that calls; numbers, arrays, text or shapes.
        passes: instead of `expected`, a function of the answer that returns True when it is right.
        tolerance: largest difference to a number or array that still counts as right.
        hint: one sentence shown with "Not yet".
    """
    if answer is None:
        print("Unanswered: replace None with your answer and run the cell again.")
        return
    try:
        if passes is not None:
            right = bool(passes(answer))
        elif isinstance(expected, str):
            right = str(answer).strip().lower() == expected.lower()
        else:
            right = np.shape(answer) == np.shape(expected) and np.allclose(
                np.asarray(answer, float), np.asarray(expected, float), rtol=0, atol=tolerance
            )
        problem = ""
    except Exception as error:  # a learner's function may fail in any way
        reason = " ".join(str(error).split())
        right, problem = False, f" Your answer raised {type(error).__name__}: {reason}."
    print("Right." if right else f"Not yet.{problem} {hint}".rstrip())
