"""Tests and nbval's kernels work in the tiny profile and in a runs folder of their own."""

import copy
import json
import os
import tempfile
import textwrap
from pathlib import Path

from nbval.plugin import IPyNbCell

import helpers  # noqa: F401  before any test imports TensorFlow, for oneDNN

RUNS = tempfile.TemporaryDirectory(prefix="dcgan-runs-")
OUTPUT_TIMEOUT = 60  # seconds; nbval gives up after 5, and has no option for it
WRONG = Path(__file__).parent / "tests" / "wrong_answers.json"  # lesson: cell: typical wrong answer
ANSWERED_WRONGLY = """
import contextlib, io
with contextlib.redirect_stdout(io.StringIO()) as said:
{cell}
assert "Not yet. " in said.getvalue(), said.getvalue()
"""

os.environ["DCGAN_PROFILE"] = "tiny"
os.environ["DCGAN_RUNS"] = RUNS.name


def pytest_collection_modifyitems(items):
    """Every cell of a lesson twice in a row, as a learner may; lessons come first.

    The second time, an exercise has a typical wrong answer, and must say so with a hint. Cells that
    train or measure for long run once.
    """
    wrong = json.loads(WRONG.read_text(encoding="utf-8"))
    for item in [item for item in items if isinstance(item, IPyNbCell)]:
        cell, options = copy.deepcopy((item.cell, item.options))
        if "long" in cell.metadata.get("tags", []):
            item.output_timeout = OUTPUT_TIMEOUT
            continue
        answer = wrong.get(item.path.stem, {}).get(cell.id)
        if answer:
            source = cell.source.replace("answer = None", f"answer = {answer}", 1)
            cell.source = ANSWERED_WRONGLY.format(cell=textwrap.indent(source, "    "))
            options["check"] = False  # nothing is printed
        name, number = f"{item.name} again", item.cell_num
        again = IPyNbCell.from_parent(
            item.parent, name=name, cell_num=number, cell=cell, options=options
        )
        items.insert(items.index(item) + 1, again)
        item.output_timeout = again.output_timeout = OUTPUT_TIMEOUT
    items.sort(key=lambda item: (item.path.stem != "test_lessons", item.path.suffix != ".ipynb"))


def pytest_unconfigure():
    RUNS.cleanup()
