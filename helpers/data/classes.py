"""What the folders around pictures mean, or a table beside them: classes, or a split."""

import io
import re
from pathlib import PurePosixPath

import pandas as pd

from helpers.data.folders import MOST_BYTES, Listing
from helpers.data.images import UnreadablePicture, printable
from helpers.data.tables import LABELS, PICTURE_PATH, TRAINING

HELD_OUT = {"test", "testing", "testset", "val", "valid", "validation", "dev", "eval"}
MOST_COLUMNS = 30  # of a table that is searched for the names of pictures


def split_and_classes(listing: Listing) -> tuple[dict, list[str]]:
    """Which pictures are for training, and of which class each is.

    Folders such as train, val and test are a split, where one of them is for training; the others
    are held out. Below, the first folders are classes. Where there are none, a table that names
    every picture may give the classes.

    Returns:
        Names and their classes (None without any), under `all`, or under `train` and `held_out`;
        and sentences about what could be read in another way.
    """
    notes = []
    parts = _without_common_folder([name.split("/") for name in listing.pictures])
    names = dict(zip(map(tuple, parts), listing.pictures))
    use = {first: _use(first) for first in {part[0] for part in parts if len(part) > 1}}
    groups = {"all": parts}
    if {"train", "held_out"} <= set(use.values()):
        groups = {
            split: [part for part in parts if use.get(part[0]) == split and len(part) > 1]
            for split in ("train", "held_out")
        }
        folders = {
            split: ", ".join(printable(first) for first in sorted(use) if use[first] == split)
            for split in groups
        }
        notes.append(
            f"{listing.name}: the folders {folders['train']} (trained on) and "
            f"{folders['held_out']} (held out) are taken for a split; move all into one folder to "
            "mix them"
        )
        left = len(parts) - sum(map(len, groups.values()))
        if left:
            notes.append(f"{listing.name}: left out are {left} pictures beside these folders")
    found, chosen, below = {}, {}, {}
    for split, group in groups.items():
        inner = [part[1:] for part in group] if len(groups) > 1 else group
        below[split] = _without_common_folder(inner)
        chosen[split] = [names[tuple(part)] for part in group]
    loose = sum(len(part) == 1 for inner in below.values() for part in inner)
    total = sum(map(len, below.values()))
    classes = {part[0] for inner in below.values() for part in inner if len(part) > 1}
    some_everywhere = all(any(len(part) > 1 for part in inner) for inner in below.values())
    if len(classes) > 1 and loose < total / 2 and some_everywhere:
        notes += [_unread(listing.name, table) for table in listing.tables]
        if odd := [printable(name) for name in sorted(classes) if _use(name)]:
            notes.append(
                f"{listing.name}: {odd[0]} is taken for a class; if it is no class, move it"
            )
        if loose:
            first = next(part[0] for inner in below.values() for part in inner if len(part) == 1)
            where = "beside the folders of the classes"
            notes.append(f"{listing.name}: left out {where}: {loose}, such as {printable(first)}")
        for split, inner in below.items():
            kept = [(name, part[0]) for name, part in zip(chosen[split], inner) if len(part) > 1]
            found[split] = [name for name, _ in kept], [of for _, of in kept]
        return found, notes
    if len(classes) > 1:
        notes.append(
            f"{listing.name}: {loose} of {total} pictures lie beside the folders, so the folders "
            "are no classes"
        )
    table = _labels_from_table(listing, notes)
    for split, some in chosen.items():
        found[split] = some, [table[name] for name in some] if table else None
    return found, notes


def _without_common_folder(parts) -> list:
    """Paths without the folders that hold all of them, which are no classes."""
    while parts and all(len(part) > 1 and part[0] == parts[0][0] for part in parts):
        parts = [part[1:] for part in parts]
    return parts


def _use(folder) -> str:
    words = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", folder)}  # trainA, too
    return "train" if words & {*TRAINING} else "held_out" if words & HELD_OUT else ""


def _labels_from_table(listing, notes) -> dict | None:
    """The class of each picture by a CSV beside them that names all; None where none does."""
    for name in listing.tables:
        try:
            content = io.BytesIO(listing.read(name, MOST_BYTES))
            columns = pd.read_csv(content, nrows=0).columns[:MOST_COLUMNS]
            content.seek(0)
            header = None if any(map(PICTURE_PATH.search, columns)) else 0
            table = pd.read_csv(
                content, header=header, usecols=range(len(columns)), dtype=str, na_filter=False
            ).rename(columns=str)
        except (ValueError, UnreadablePicture):
            table = pd.DataFrame()
        for column in table:
            keys = {re.split(r"[/\\]", value)[-1]: row for row, value in enumerate(table[column])}
            files = map(PurePosixPath, listing.pictures)
            rows = [keys.get(file.name, keys.get(file.stem)) for file in files]
            others = [other for other in table if other != column]
            named = [other for other in others if other.strip().lower() in LABELS] or others
            if None in rows or len(named) != 1:
                continue
            values = table[named[0]].iloc[rows].str.strip()
            if 1 < values.nunique() <= max(2, len(rows) / 2):
                notes.append(f"{listing.name}: labels come from {name}, column {named[0]!r}")
                return dict(zip(listing.pictures, values))
        notes.append(_unread(listing.name, name))
    return None


def _unread(listing, table) -> str:
    return (
        f"{listing}: {printable(table)} is not read; to give labels it must name every picture; to "
        "use its rows as pictures, unpack it and set DATASET to it"
    )
