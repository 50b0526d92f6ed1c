"""Which metric notices which planted defect: the table of tests/benchmarks/planted_defects.py."""

import csv

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from helpers.files import require_file
from helpers.machine import ASSETS

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

    Dark cells are noticed: at least 95 % power, at most 5 % false alarms. The first row shows
    those.

    Args:
        rows: of `load_defects`, of one space and number of images.

    Raises:
        ValueError: they are of several feature spaces, or numbers of images.
    """
    spaces = {row["space"] for row in rows if row["metric"] not in WITHOUT_SPACE}
    if len(spaces) != 1 or len({row["images"] for row in rows}) != 1:
        raise ValueError("A figure of defects shows one feature space and one number of images.")
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    sizes = list(dict.fromkeys((row["defect"], row["size"]) for row in rows))
    tops, labels = _places(sizes)
    figure, axes = plt.subplots(figsize=(9, 1.9 + 0.25 * tops[-1]), facecolor="white")
    for row in rows:
        x, y = metrics.index(row["metric"]), tops[sizes.index((row["defect"], row["size"]))]
        dark = row["defect"] != NO_DEFECT and noticed(row)
        colour = _NOTICED if dark else _UNNOTICED(min(row["power"], POWER) / POWER)
        ink = {"color": "white", "weight": "bold"} if dark else {"color": "black"}
        axes.add_patch(plt.Rectangle((x, y), 1, 1, facecolor=colour, edgecolor="white"))
        percent = f"{100 * row['power']:.0f}"
        axes.text(x + 0.5, y + 0.5, percent, ha="center", va="center", size=10, **ink)
    axes.set(xlim=(0, len(metrics)), ylim=(tops[-1] + 1, 0))
    axes.xaxis.tick_top()
    axes.set_xticks(np.arange(len(metrics)) + 0.5, metrics, rotation=40, ha="left", size=10)
    axes.set_yticks(tops + 0.5, labels, size=10)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    draws = next(row["draws"] for row in rows if row["defect"] != NO_DEFECT)
    figure.suptitle(
        f"Alarms in per cent of {draws} draws, {rows[0]['images']:,} images each, features of\n"
        f"{spaces.pop()}. Dark: noticed, 95 or more, at most 5 without a defect",
        size=11,
    )
    plt.show()


def _places(sizes) -> tuple[np.ndarray, list[str]]:
    """Where the row of each defect and size begins, a gap before each defect; and its label."""
    tops, labels, before = [], [], NO_DEFECT
    for defect, size in sizes:
        new = defect != before
        tops.append(tops[-1] + 1 + 0.35 * new if tops else 0.0)
        name = "no defect" if defect == NO_DEFECT else f"{defect}   {size}"
        labels.append(name if new or defect == NO_DEFECT else size)
        before = defect
    return np.array(tops), labels


def _planted(rows) -> list[dict]:
    return [row for row in rows if row["defect"] != NO_DEFECT]


def _number(text):
    value = float(text)
    return int(value) if value.is_integer() else value
