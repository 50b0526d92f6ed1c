"""Lesson 4's training in a plain process, to be killed: python -m tests.lesson4 EPOCHS=4

The cells are the lesson's own: the parameters (those named on the command line replaced), the
taught definitions, the making of the model and the training. What it makes lies in DCGAN_RUNS.
"""

import ast
import sys

import nbformat

from helpers.machine import ROOT

MARKS = ("helpers.open_run(", "model = DCGAN(", "model.fit(")
PARAMETERS = ("parameters", "further-parameters")


def main():
    notebook = nbformat.read(ROOT / "notebooks" / "04_training.ipynb", as_version=4)
    given = dict(argument.split("=", 1) for argument in sys.argv[1:])
    names = {}
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if cell.cell_type != "code":
            continue
        if any(tag in PARAMETERS for tag in tags):
            exec(cell.source, names)
            unknown = given.keys() - names.keys()
            assert "parameters" not in tags or not unknown, unknown
            names |= {name: ast.literal_eval(value) for name, value in given.items()}
        elif "taught" in tags or any(mark in cell.source for mark in MARKS):
            exec(compile(cell.source, "lesson 4", "exec"), names)


if __name__ == "__main__":
    main()
