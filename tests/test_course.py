"""The command that executes the notebooks, on notebooks of two cells."""

import os

import nbformat
import papermill
import pytest

from helpers import course

WRITES = """
import json, os, pathlib, sys
print("to stderr", file=sys.stderr)
folder = pathlib.Path(os.environ["DCGAN_RUNS"]) / f"{DATASET}-28-tiny"
folder.mkdir(parents=True, exist_ok=True)
scores = {
    "last epoch": {"frechet": {"value": 12.345, "generated": 9}},
    "training images": {"frechet": {"value": 3}},
}
(folder / "metrics.json").write_text(json.dumps({"scores": scores}))
print("working in", pathlib.Path.cwd().name)
print("data set", DATASET)
"""

SLIDER = """
view = {"version_major": 2, "version_minor": 0, "model_id": "0"}
parts = {"application/vnd.jupyter.widget-view+json": view, "image/png": "", "text/plain": "0"}
display(parts, raw=True)
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """One notebook in a folder of its own, and the command that executes it."""
    monkeypatch.setenv("DCGAN_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("DCGAN_PROFILE", "tiny")
    path = tmp_path / "lessons" / "01_toy.ipynb"
    path.parent.mkdir()
    monkeypatch.setattr(course, "NOTEBOOKS", [path])
    monkeypatch.setattr(course, "FURTHER", [])

    def write(*sources):
        cells = [nbformat.v4.new_code_cell('DATASET = "fashion_mnist"')]
        cells[0].metadata |= {"tags": ["parameters"], "jupyter": {"source_hidden": True}}
        cells += [nbformat.v4.new_code_cell(source) for source in sources]
        metadata = {"language_info": {"name": "python"}}
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
        return path

    def call(*arguments):
        monkeypatch.setattr("sys.argv", ["course", *arguments])
        course.main()

    return write, call


def streams(notebook):
    return "".join(
        output.text
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "stream"
    )


def test_run_injects_the_data_set_and_says_where_results_are(toy, tmp_path, capsys):
    write, call = toy
    path = write(WRITES)
    before = path.read_bytes()
    call("run", "--dataset", "mnist")
    executed = nbformat.read(tmp_path / "runs/mnist-28-tiny/executed/01_toy.ipynb", as_version=4)
    assert "data set mnist" in streams(executed)
    assert "working in lessons" in streams(executed)
    assert path.read_bytes() == before
    printed = capsys.readouterr().out
    for part in ("training.gif", "metrics.json", "executed"):
        assert f"runs/mnist-28-tiny/{part}" in printed
    assert "12.3" in printed and str(tmp_path) not in printed


def test_notebooks_are_executed_in_place_and_tidied(toy, tmp_path):
    write, call = toy
    path = write(WRITES, "1 + 1", SLIDER)
    call("notebooks")
    notebook = nbformat.read(path, as_version=4)
    assert notebook.metadata.keys().isdisjoint({"papermill", "widgets"})
    folded = {"tags": ["parameters"], "jupyter": {"source_hidden": True}}
    assert [cell.metadata for cell in notebook.cells] == [folded, {}, {}, {}]
    assert [cell.execution_count for cell in notebook.cells] == [1, 2, 3, 4]
    assert "data set fashion_mnist" in streams(notebook)
    assert "to stderr" not in streams(notebook)
    assert notebook.cells[2].outputs[0].data["text/plain"] == "2"
    (slider,) = notebook.cells[3].outputs  # a still picture stands for it
    assert slider.data.keys() == {"image/png", "text/plain"}
    assert not (tmp_path / "runs").exists(), "the learner's runs were used"
    assert [file.name for file in path.parent.iterdir()] == ["01_toy.ipynb"]


def test_a_further_lesson_is_executed_alone(toy, tmp_path, monkeypatch, capsys):
    write, call = toy
    first = write("1 + 1")
    further = tmp_path / "lessons" / "toy.ipynb"
    further.write_bytes(first.read_bytes())
    before = first.read_bytes()
    monkeypatch.setattr(course, "FURTHER", [further])
    call("notebooks", "toy")
    assert first.read_bytes() == before
    assert nbformat.read(further, as_version=4).cells[1].execution_count == 2
    with pytest.raises(SystemExit, match="'01_toy' is no further lesson; there are toy"):
        call("notebooks", "01_toy")
    with pytest.raises(SystemExit):
        call("run", "toy")
    assert "`run` executes the five lessons" in capsys.readouterr().err


def test_lesson_that_fails_ends_the_run_in_one_sentence(toy, tmp_path):
    write, call = toy
    write("raise ValueError('IMAGE_SIZE is 7; take another.')", WRITES)
    with pytest.raises(SystemExit) as caught:
        call("run")
    assert "\n" not in caught.value.code
    executed = next((tmp_path / "runs").rglob("executed/01_toy.ipynb"))
    (failed,) = [
        cell.execution_count
        for cell in nbformat.read(executed, as_version=4).cells
        if any(output.output_type == "error" for output in cell.get("outputs", []))
    ]
    assert f"cell {failed}:" in caught.value.code and "IMAGE_SIZE is 7" in caught.value.code
    assert not list((tmp_path / "runs").rglob("metrics.json"))


def test_failing_lesson_is_not_written_back(toy):
    write, call = toy
    path = write("raise ValueError('no')")
    before = path.read_bytes()
    with pytest.raises(SystemExit):
        call("notebooks")
    assert path.read_bytes() == before


def test_unknown_data_set_starts_no_lesson(toy, monkeypatch):
    write, call = toy
    write("1")
    monkeypatch.setattr(papermill, "execute_notebook", None)
    with pytest.raises(SystemExit) as caught:
        call("run", "--dataset", "cifar")
    assert "'cifar'" in caught.value.code and "fashion_mnist" in caught.value.code
    assert not os.path.exists(os.environ["DCGAN_RUNS"])
