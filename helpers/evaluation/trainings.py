"""How far recipes get in which time: the measurements in assets/results, for lesson 5."""

import csv
import itertools

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import LogLocator, NullLocator

from helpers.files import require_file
from helpers.machine import ASSETS

TABLE = ASSETS / "results" / "recipes.csv"
NUMBERS = ("seconds", "distance", "distance_error")


def load_trainings(dataset: str = "fashion_mnist") -> dict[str, dict[int, list[dict]]]:
    """Recipe to seed to measurements in the order of time; `assets/README.md` names the columns.

    Raises:
        FileNotFoundError: the table is not there.
    """
    require_file(TABLE)
    trainings = {}
    with open(TABLE, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["dataset"] == dataset:
                row |= {name: float(row[name]) for name in NUMBERS}
                seeds = trainings.setdefault(row["recipe"], {})
                seeds.setdefault(int(row["seed"]), []).append(row)
    for seeds in trainings.values():
        for rows in seeds.values():
            rows.sort(key=lambda row: row["seconds"])
    return trainings


def distances_after(seeds: dict[int, list[dict]], seconds: float) -> np.ndarray:
    """The distance that each seed had after so many seconds of training.

    It lies between two measurements, on the straight line through both on logarithmic axes. Seeds
    that were not measured so early, or so late, are left out.

    Args:
        seeds: of one recipe, as `load_trainings` gives them.

    Returns:
        float64 (seeds,).
    """
    found = []
    for rows in seeds.values():
        times, distances = ([row[name] for row in rows] for name in ("seconds", "distance"))
        if times[0] <= seconds <= times[-1]:
            found.append(np.exp(np.interp(np.log(seconds), np.log(times), np.log(distances))))
    return np.array(found)


def seconds_until(seeds: dict[int, list[dict]], distance: float) -> np.ndarray:
    """The seconds of training after which each seed was first as near as that.

    They lie between two measurements, as for `distances_after`. A seed that was so near when it was
    first measured has the seconds of that; one that never was is left out.

    Args:
        seeds: of one recipe, as `load_trainings` gives them.

    Returns:
        float64 (seeds,).
    """
    found = []
    for rows in seeds.values():
        times, distances = (np.log([row[name] for row in rows]) for name in ("seconds", "distance"))
        near = np.flatnonzero(distances <= np.log(distance))[:1]
        if len(near):
            last = slice(max(near[0] - 1, 0), near[0] + 1)
            found.append(np.exp(np.interp(-np.log(distance), -distances[last], times[last])))
    return np.array(found)


def plot_trainings(trainings: dict[str, dict[int, list[dict]]], title: str = "") -> None:
    """Distance against minutes of training, both logarithmic: a colour a recipe, a line a seed."""
    _, axes = plt.subplots(figsize=(8, 4.2))
    styles = itertools.cycle(("o-", "s--", "^:", "d-."))
    for (recipe, seeds), style in zip(trainings.items(), styles):
        colour = None
        for rows in seeds.values():
            times, distances = ([row[name] for row in rows] for name in ("seconds", "distance"))
            label = recipe if colour is None else None
            (line,) = axes.loglog(
                np.array(times) / 60, distances, style, color=colour, label=label, markersize=4
            )
            colour = line.get_color()
    axes.set(xlabel="minutes of training", ylabel="Fréchet distance", title=title)
    for axis, locator in (
        (axes.xaxis, LogLocator(2)),
        (axes.yaxis, LogLocator(10, subs=(1, 2, 5))),
    ):
        axis.set_major_locator(locator)
        axis.set_major_formatter("{x:g}")
        axis.set_minor_locator(NullLocator())
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    plt.show()
