"""The names that the tagged cells of a notebook define."""

import importlib
import json
import traceback

import pytest

import helpers

module = importlib.import_module("helpers.taught")  # `helpers.networks` is the function


def write_notebook(folder, cells):
    """Cells are pairs of tags and source lines."""
    content = [
        {"cell_type": "code", "metadata": {"tags": tags} if tags else {}, "source": source}
        for tags, source in cells
    ]
    (folder / "notebooks").mkdir(exist_ok=True)
    text = json.dumps({"cells": content}, ensure_ascii=False)
    (folder / "notebooks" / "09_toy.ipynb").write_text(text, encoding="utf-8")


@pytest.fixture
def toy(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ROOT", tmp_path)
    write_notebook(
        tmp_path,
        [
            ([], ["raise AssertionError('an untagged cell was executed')"]),
            (["taught"], ["BASE = 20\n", "\n", "def double(x):\n", "    return 2 * x"]),
            (["nbval-check-output"], "raise AssertionError('so was another')"),
            (["other", "taught"], "def answer():\n    return double(BASE) + 2  # é\n"),
            (["taught"], ["def fail():\n", "    raise KeyError('told by the cell')"]),
        ],
    )


def test_names_of_all_tagged_cells_arrive(toy):
    names = helpers.taught("09_toy")
    assert set(vars(names)) == {"BASE", "double", "answer", "fail"}
    assert names.answer() == 42  # a later cell sees the names of an earlier one


def test_every_call_defines_anew(toy):
    first, second = helpers.taught("09_toy"), helpers.taught("09_toy")
    first.answer.__globals__["BASE"] = 0
    assert (first.answer(), second.answer()) == (2, 42)


def test_traceback_shows_the_line_of_the_cell(toy):
    with pytest.raises(KeyError) as caught:
        helpers.taught("09_toy").fail()
    text = "".join(traceback.format_exception(caught.value))
    assert "09_toy.ipynb" in text and "cell 3" in text
    assert "raise KeyError('told by the cell')" in text


def test_notebook_without_tagged_cells(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ROOT", tmp_path)
    write_notebook(tmp_path, [([], "x = 1"), (["setup"], "y = 1")])
    with pytest.raises(ValueError, match=r"09_toy\.ipynb has no cell tagged 'taught'"):
        helpers.taught("09_toy")


@pytest.mark.parametrize(
    ("notebook", "names"),
    [
        ("03_architecture", {"build_generator", "build_discriminator"}),
        ("04_training", {"DCGAN", "make_optimizer", "generator_loss", "discriminator_loss"}),
    ],
)
def test_the_lessons_teach_what_others_use(notebook, names):
    assert names <= set(vars(helpers.taught(notebook)))


@pytest.mark.parametrize("changes", [{}, {"batch_size": 7, "learning_rate": 0.5, "memory": 0.25}])
@pytest.mark.parametrize("name", ["course", "paper"])
def test_taught_model_follows_the_recipe(name, changes):
    expected = helpers.taught("04_training").RECIPES[name] | changes
    model, batch_size = helpers.taught_model((28, 28, 1), name, 4, precision="float32", **changes)
    rates = [float(each.learning_rate) for each in (model.optimizer, model.discriminator_optimizer)]
    assert batch_size == expected["batch_size"] and model.memory == expected["memory"]
    assert rates == pytest.approx([expected["learning_rate"]] * 2)


def test_taught_model_has_the_networks_asked_for():
    def convolutions(**options):
        model, _ = helpers.taught_model((28, 28, 1), precision="float32", **options)
        layers = model.discriminator.layers
        return [layer.filters for layer in layers if hasattr(layer, "filters")]

    assert convolutions(feature_maps=4) == [4, 8, 16]
    assert convolutions(feature_maps=6, smallest_side=7) == [6, 12]


def test_taught_model_refuses_a_misspelt_change():
    with pytest.raises(TypeError, match="learning_rate, memory, no memroy"):
        helpers.taught_model((28, 28, 1), memroy=0.5)
