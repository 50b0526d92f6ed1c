"""The tables of assets/results: which metric notices which defect, and how fast recipes learn.

`assets/README.md` says how each was measured, and names its columns.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import LogLocator, NullLocator

from helpers.files import require_file
from helpers.machine import ASSETS

PLANTED_DEFECTS = ASSETS / "results" / "planted_defects.csv"
RECIPES = ASSETS / "results" / "recipes.csv"
TRAINING = ["seed", "processor", "precision"]  # of one recipe and data set
NO_DEFECT = "none"
POWER, FALSE_ALARMS = 0.95, 0.05  # at least, and at most, where a metric notices a defect
WITHOUT_SPACE = ("memorisation", "near copies", "discriminator")  # metrics that need no features
_DARK, _LIGHT = "#08306B", LinearSegmentedColormap.from_list("", ["white", "#9CC7E8"])


def load_defects(space: str, images: int, path=PLANTED_DEFECTS) -> pd.DataFrame:
    """The table of planted defects: a row for each metric, defect and size; sizes rise.

    Args:
        space: a word in the name of a feature space, "classifier" or "random"; metrics that need
            no features are there with both.
        images: how many real and as many generated ones, 500 or 2000.

    Returns:
        The columns of the file, and `noticed`: whether the metric notices the defect, with 95 %
        power at least and 5 % false alarms at most.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: there are no such rows.
    """
    require_file(path)
    table = pd.read_csv(path, keep_default_na=False, dtype={"sha256": str})
    of_space = table["space"].map(lambda name: space in name.split())
    of_count = table["images"] == images
    if not (of_space & of_count).any():
        raise ValueError(f"Planted defects are not known of {images} images in space {space!r}.")
    table = table[of_count & (of_space | table["metric"].isin(WITHOUT_SPACE))].copy()
    sure = (table["power"] >= POWER) & (table["false_alarms"] <= FALSE_ALARMS)
    table["noticed"] = sure & (table["defect"] != NO_DEFECT)
    return table


def plot_defects(table) -> None:
    """The power of every metric against every defect in per cent, as one figure 9 inches wide.

    Dark cells are noticed. The first row, without a defect, shows the false alarms.

    Args:
        table: of `load_defects`.
    """
    rows = table.set_index(["defect", "size", "metric"])
    sizes = list(dict.fromkeys(zip(table["defect"], table["size"])))
    metrics = list(dict.fromkeys(table["metric"]))
    figure, axes = plt.subplots(figsize=(9, 1.9 + 0.29 * len(sizes)), facecolor="white")
    labels, y, before = {}, 0.0, None
    for defect, size in sizes:
        y += 1 + 0.35 * (defect != before)  # a gap before each defect
        name = "no defect" if defect == NO_DEFECT else f"{defect}   {size}"
        labels[y + 0.5] = size if defect == before else name
        before = defect
        for x, metric in enumerate(metrics):
            power, noticed = rows.loc[(defect, size, metric), ["power", "noticed"]]
            colour = _DARK if noticed else _LIGHT(min(power, POWER) / POWER)
            axes.add_patch(plt.Rectangle((x, y), 1, 1, facecolor=colour, edgecolor="white"))
            ink = {"color": "white", "weight": "bold"} if noticed else {"color": "black"}
            place = {"ha": "center", "va": "center", "size": 10}
            axes.text(x + 0.5, y + 0.5, f"{100 * power:.0f}", **place, **ink)
    axes.set(xlim=(0, len(metrics)), ylim=(y + 1, 1.35))
    axes.xaxis.tick_top()
    axes.set_xticks(np.arange(len(metrics)) + 0.5, metrics, rotation=40, ha="left", size=10)
    axes.set_yticks(list(labels), labels.values(), size=10)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    draws = table.loc[table["defect"] != NO_DEFECT, "draws"].iloc[0]
    (space,) = table.loc[~table["metric"].isin(WITHOUT_SPACE), "space"].unique()
    figure.suptitle(
        f"Alarms in per cent of {draws} draws, {table['images'].iloc[0]:,} images each, features "
        f"of\n{space}. Dark: noticed, 95 or more, at most 5 without a defect",
        size=11,
    )
    plt.show()


def load_trainings(dataset: str = "fashion_mnist") -> pd.DataFrame:
    """The measurements of all recipes on all images of a set: a row each, by training, in time.

    Raises:
        FileNotFoundError: the table is not there.
    """
    require_file(RECIPES)
    table = pd.read_csv(RECIPES)
    table = table[table["dataset"] == dataset]
    return table[table["training_images"] == table["training_images"].max()]


def distances_after(trainings, recipe: str, amount: float, of: str = "images_seen") -> np.ndarray:
    """The distance that each training by a recipe had after so many images, or seconds.

    It lies between two measurements, on the straight line through both on logarithmic axes.
    Trainings that were not measured so early, or so late, are left out.

    Args:
        trainings: of `load_trainings`, or some of its rows.
        amount: of `of`, a column: "images_seen", or "seconds" where all rows have one processor.

    Returns:
        float64 (trainings,).
    """
    found = []
    for _, rows in trainings[trainings["recipe"] == recipe].groupby(TRAINING):
        amounts, distances = np.log(rows[of]), np.log(rows["distance"])
        if amounts.min() <= np.log(amount) <= amounts.max():
            found.append(np.exp(np.interp(np.log(amount), amounts, distances)))
    return np.array(found)


def plot_trainings(trainings, recipes, title: str = "") -> None:
    """Distance against images seen, both logarithmic: a colour a recipe, a line a training."""
    _, axes = plt.subplots(figsize=(8, 4.2))
    for number, recipe in enumerate(recipes):
        style = ("o-", "s--", "^:", "d-.")[number % 4]
        label = recipe
        for _, rows in trainings[trainings["recipe"] == recipe].groupby(TRAINING):
            images, distances = rows["images_seen"] / 1000, rows["distance"]
            axes.loglog(images, distances, style, color=f"C{number}", label=label, markersize=4)
            label = None
    axes.set(xlabel="images seen in training, in thousands", ylabel="Fréchet distance", title=title)
    axes.xaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
    axes.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_locator(NullLocator())
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    plt.show()
