"""Tests and nbval's kernels work in the tiny profile and in a runs folder of their own."""

import os
import tempfile

from nbval.plugin import IPyNbCell

import helpers  # noqa: F401  before any test imports TensorFlow, for oneDNN

RUNS = tempfile.TemporaryDirectory(prefix="dcgan-runs-")
OUTPUT_TIMEOUT = 60  # seconds; nbval gives up after 5, and has no option for it

os.environ["DCGAN_PROFILE"] = "tiny"
os.environ["DCGAN_RUNS"] = RUNS.name


def pytest_collection_modifyitems(items):
    """Notebooks last and in the order of the lessons; patience with a busy machine."""
    lessons = [item for item in items if isinstance(item, IPyNbCell)]
    for cell in lessons:
        cell.output_timeout = OUTPUT_TIMEOUT
    lessons.sort(key=lambda cell: cell.path.name)
    items[:] = [item for item in items if not isinstance(item, IPyNbCell)] + lessons


def pytest_unconfigure():
    RUNS.cleanup()
