"""Which metric notices which planted defect: the table of tests/benchmarks/planted_defects.py."""

import csv

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from helpers.environment import ASSETS
from helpers.files import require_file

PLANTED_DEFECTS = ASSETS / "results" / "planted_defects.csv"
NO_DEFECT = "none"
POWER, FALSE_ALARMS = 0.95, 0.05  # at least, and at most, where a metric notices a defect
WITHOUT_SPACE = ("memorisation", "near copies", "discriminator")  # metrics that need no features
_TEXT = ("space", "sha256", "defect", "size", "metric")
_NOTICED, _UNNOTICED = "#08306B", LinearSegmentedColormap.from_list("", ["white", "#9CC7E8"])


def load_defects(space: str = "", images: int = 0, path=PLANTED_DEFECTS) -> list[dict]:
    """Rows of the table: one for each feature space, number of images, defect, size and metric.

    Args:
        space: the first word that names one feature space, "classifier" or "random", with the
            metrics that need none; by default all rows. Figures of several spaces belong on
            separate axes.
        images: only rows of that many real and generated images; by default all rows.

    Returns:
        Dictionaries: `space`, `sha256` (its first 12 digits), `defect`, `size` and `metric` are
        texts; the others numbers. `power` is the share of `draws` with an alarm, a value outside
        [`low`, `high`]; `false_alarms`, that share without a defect; `median`, of the values.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: there are no such rows.
    """
    require_file(path)
    with open(path, newline="", encoding="utf-8") as file:
        rows = [
            {name: text if name in _TEXT else _number(text) for name, text in row.items()}
            for row in csv.DictReader(file)
        ]
    rows = [
        row
        for row in rows
        if (not space or space in row["space"].split() or row["metric"] in WITHOUT_SPACE)
        and images in (0, row["images"])
    ]
    if not any(row["metric"] not in WITHOUT_SPACE for row in rows):
        raise ValueError(f"Planted defects are not known of {images} images in space {space!r}.")
    return rows


def noticed(row) -> bool:
    """Whether a row's metric notices its defect: 95 % power, at most 5 % false alarms."""
    return row["power"] >= POWER and row["false_alarms"] <= FALSE_ALARMS


def smallest_noticed(rows) -> dict[str, dict[str, str]]:
    """For each defect the metrics that notice it, each with the smallest size it notices.

    Args:
        rows: of `load_defects`, of one space and number of images.
    """
    found = {row["defect"]: {} for row in _planted(rows)}
    for row in _planted(rows):  # sizes rise
        if noticed(row):
            found[row["defect"]].setdefault(row["metric"], row["size"])
    return found


def unnoticed(rows) -> list[tuple[str, str]]:
    """Defects and sizes that no metric notices, of rows as for `smallest_noticed`."""
    every = dict.fromkeys((row["defect"], row["size"]) for row in _planted(rows))
    seen = {(row["defect"], row["size"]) for row in _planted(rows) if noticed(row)}
    return [each for each in every if each not in seen]


def plot_defects(rows) -> None:
    """The power of every metric against every defect in per cent, as one figure 9 inches wide.

    Dark cells are noticed: at least 95 % power, at most 5 % false alarms.

    Args:
        rows: of `load_defects`, of one space and number of images.

    Raises:
        ValueError: they are of several feature spaces, or numbers of images.
    """
    rows = _planted(rows)
    spaces = {row["space"] for row in rows if row["metric"] not in WITHOUT_SPACE}
    if len(spaces) != 1 or len({row["images"] for row in rows}) != 1:
        raise ValueError("A figure of defects shows one feature space and one number of images.")
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    defects = list(dict.fromkeys((row["defect"], row["size"]) for row in rows))
    table = {(row["defect"], row["size"], row["metric"]): row for row in rows}

    figure, axes = plt.subplots(figsize=(9, 1.9 + 0.25 * len(defects)), facecolor="white")
    for y, defect in enumerate(defects):
        for x, metric in enumerate(metrics):
            row = table[(*defect, metric)]
            dark = noticed(row)
            colour = _NOTICED if dark else _UNNOTICED(min(row["power"] / POWER, 1.0))
            axes.add_patch(plt.Rectangle((x, y), 1, 1, facecolor=colour, edgecolor="white"))
            ink = {"color": "white", "weight": "bold"} if dark else {"color": "black"}
            percent = f"{100 * row['power']:.0f}"
            axes.text(x + 0.5, y + 0.5, percent, ha="center", va="center", size=10, **ink)
    first = [y for y, (name, _) in enumerate(defects) if y == 0 or defects[y - 1][0] != name]
    for y in first[1:]:
        axes.axhline(y, color="black", linewidth=0.8)
    axes.set(xlim=(0, len(metrics)), ylim=(len(defects), 0))
    axes.xaxis.tick_top()
    axes.set_xticks(np.arange(len(metrics)) + 0.5, metrics, rotation=40, ha="left", size=10)
    labels = [f"{name}   {size}" if y in first else size for y, (name, size) in enumerate(defects)]
    axes.set_yticks(np.arange(len(defects)) + 0.5, labels, size=10)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    draws = {int(row["draws"]) for row in rows}
    figure.suptitle(
        f"Alarms in 100 draws with a defect; dark: 95 or more\n{spaces.pop()}, "
        f"{int(rows[0]['images']):,} images each, {'/'.join(map(str, sorted(draws)))} draws",
        size=11,
    )
    plt.show()


def _planted(rows) -> list[dict]:
    return [row for row in rows if row["defect"] != NO_DEFECT]


def _number(text):
    value = float(text)
    return int(value) if value.is_integer() else value
