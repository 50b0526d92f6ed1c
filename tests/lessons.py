"""What several tests do with the lessons."""

import nbformat
import numpy as np

import helpers
from helpers.machine import ROOT

NOTEBOOKS = ROOT / "notebooks"
RUN = "fashion_mnist-28-tiny"


def edit_the_generator(path):
    """Write lesson 3 as a learner edits it: the generator's builder makes half the maps."""
    notebook = nbformat.read(NOTEBOOKS / "03_architecture.ipynb", as_version=nbformat.NO_CONVERT)
    (builder,) = [cell for cell in notebook.cells if "def build_generator" in cell.source]
    assert builder.source.count("feature_maps * 2") == 2
    builder.source = builder.source.replace("feature_maps * 2", "feature_maps // 2 * 2")
    nbformat.write(notebook, path)


def weights(path):
    return [np.asarray(weight) for weight in helpers.load_model(path).weights]


def shapes(arrays):
    return [array.shape for array in arrays]


def edited_shapes():
    """The shapes of the edited generator's weights, which are not the ones of the lesson."""
    build_generator = helpers.taught("03_architecture").build_generator
    edited = shapes(build_generator((28, 28, 1), feature_maps=32).weights)
    assert edited != shapes(build_generator((28, 28, 1)).weights)
    return edited


def printed(notebook):
    """Everything the cells of an executed notebook printed."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.get("text", "") for output in outputs)
