"""The curves of lesson 5's appendix: what is read from the table, and what lies in between."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from helpers import trainings
from helpers.files import save_table

ROW = {"dataset": "mnist", "recipe": "a", "seed": 0, "images_seen": 8, "distance_error": 0.5}


@pytest.fixture
def table(tmp_path, monkeypatch):
    path = tmp_path / "recipes.csv"
    monkeypatch.setattr(trainings, "TABLE", path)
    rows = [
        ROW | {"seconds": 100, "distance": 20},
        ROW | {"seconds": 10, "distance": 200},
        ROW | {"seconds": 50, "distance": 7, "seed": 1},
        ROW | {"seconds": 60, "distance": 6, "recipe": "b"},
        ROW | {"seconds": 60, "distance": 1, "dataset": "emoji"},
    ]
    save_table(path, rows)
    return path


def test_rows_come_by_recipe_and_seed_in_the_order_of_time(table):
    found = trainings.load_trainings("mnist")
    assert list(found) == ["a", "b"] and list(found["a"]) == [0, 1]
    assert [row["seconds"] for row in found["a"][0]] == [10, 100]
    assert trainings.load_trainings("nothing") == {}


def test_a_distance_lies_on_the_line_between_two_measurements(table):
    seeds = trainings.load_trainings("mnist")["a"]
    # Ten times the time brought a tenth of the distance, so distance times seconds is 2,000.
    np.testing.assert_allclose(trainings.distances_after(seeds, 40), [50])
    np.testing.assert_allclose(trainings.distances_after(seeds, 50), [40, 7])
    assert not len(trainings.distances_after(seeds, 9))
    assert not len(trainings.distances_after(seeds, 101))


def test_the_seconds_until_a_distance_are_those_of_the_first_time(table):
    seeds = trainings.load_trainings("mnist")["a"]
    np.testing.assert_allclose(trainings.seconds_until(seeds, 50), [40, 50])
    np.testing.assert_allclose(trainings.seconds_until(seeds, 20), [100, 50])
    np.testing.assert_allclose(trainings.seconds_until(seeds, 8), [50])
    assert not len(trainings.seconds_until(seeds, 6))
    up_and_down = [{"seconds": s, "distance": d} for s, d in ((1, 90), (2, 30), (4, 60), (8, 10))]
    assert 1 < trainings.seconds_until({0: up_and_down}, 40) < 2


def test_a_recipe_has_one_colour_and_one_name(table, monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: None)
    trainings.plot_trainings(trainings.load_trainings("mnist"), "a title")
    (axes,) = plt.gcf().axes
    colours = [line.get_color() for line in axes.lines]
    assert len(colours) == 3 and colours[0] == colours[1] != colours[2]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]
    plt.close()


def test_a_missing_table_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(trainings, "TABLE", tmp_path / "recipes.csv")
    with pytest.raises(FileNotFoundError, match=r"recipes\.csv does not exist"):
        trainings.load_trainings()
