"""The first cells of a lesson, as far as a certain one; for tests of what is refused."""

import nbformat
import papermill
import pytest

from tests.test_lessons import execute


def stopped_by(lesson, tmp_path, monkeypatch, last, prepend="", **parameters):
    """What the lesson's cells say, up to the one with the id `last`, where they stop."""
    monkeypatch.setenv("DCGAN_RUNS", str(tmp_path / "runs"))
    notebook = nbformat.read(lesson, as_version=nbformat.NO_CONVERT)
    number = next(number for number, cell in enumerate(notebook.cells) if cell.id == last)
    notebook.cells = [nbformat.v4.new_code_cell(prepend), *notebook.cells[: number + 1]]
    nbformat.write(notebook, tmp_path / "lesson.ipynb")
    with pytest.raises(papermill.PapermillExecutionError) as caught:
        execute(tmp_path / "lesson.ipynb", lesson.parent, **parameters)
    return caught.value.evalue
