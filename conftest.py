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
    """What executes lessons first, for it takes longest; patience with a busy machine."""
    for item in items:
        if isinstance(item, IPyNbCell):
            item.output_timeout = OUTPUT_TIMEOUT
    items.sort(key=lambda item: (item.path.stem != "test_lessons", item.path.suffix != ".ipynb"))


def pytest_unconfigure():
    RUNS.cleanup()
