"""The sources a learner brings: a folder, a zip, a CSV or NumPy file of pictures.

Nothing of them is ever written, moved or changed.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helpers.data.arrays import read_arrays
from helpers.data.classes import split_and_classes
from helpers.data.folders import MOST_BYTES, READ, content_hash, list_folder, list_zip, walk
from helpers.data.images import UnreadablePicture, decode, parse_background, printable
from helpers.data.tables import read_csv
from helpers.files import sha256
from helpers.refused import Refused


@dataclass(frozen=True)
class Collection:
    """Pictures that are read one by one, in a fixed order.

    Attributes:
        names: of each picture, for messages: its relative path with "/", or "image 17".
        read: index -> uint8 (H, W, 1) or (H, W, 3), from any thread; raises UnreadablePicture.
        labels: int64 (N,), or None.
        class_names: as many as there are labels; empty without labels.
    """

    names: Sequence[str]
    read: Callable[[int], np.ndarray]
    labels: np.ndarray | None = None
    class_names: tuple[str, ...] = ()


def open_path(path, background: str = "white") -> tuple[dict[str, Collection], list[str]]:
    """The pictures of a folder, or of a .zip, .csv, .npz or .npy file.

    Args:
        path: of what is there.
        background: a colour's name or "#rrggbb", under what is transparent in a folder or zip.

    Returns:
        Pictures under `all`, or under `train` and `held_out` where they come divided; and
        sentences, without a full stop, about what is left out or could be read in another way.

    Raises:
        Refused: another kind of file, one that is damaged or cannot be opened, or an unknown
            background; one sentence.
    """
    path, background = Path(path), parse_background(background)
    ending = "" if path.is_dir() else path.suffix.lower()
    try:
        if path.is_dir():
            return _pictures(list_folder(path), background)
        if ending == ".zip":
            return _pictures(list_zip(path), background)
        if ending in (".csv", ".npz", ".npy"):
            splits, notes = (read_csv if ending == ".csv" else read_arrays)(path)
            return collect(splits), notes
    except OSError as error:
        name = Path(error.filename or path).name
        raise Refused(
            f"{name} cannot be opened ({error.strerror or error}); allow reading it, or move it "
            "elsewhere."
        ) from error
    if ending in READ:
        raise Refused(f"{path.name} is a single picture; give the folder it lies in.")
    raise Refused(
        f"{path.name} is no kind of file that is read here; give a folder of pictures, or a .zip, "
        ".csv, .npz or .npy file."
    )


def collect(splits, class_names=()) -> dict[str, Collection]:
    """Arrays as collections.

    Args:
        splits: of each name, images uint8 (N, H, W) or (N, H, W, 1 or 3), and labels (N,) of
            numbers or texts, or None. Without `class_names` the labels become 0 to K-1 in the
            order of their values, which are then the names.
    """
    labelled = all(labels is not None for _, labels in splits.values())
    values = (
        np.unique(np.concatenate([labels for _, labels in splits.values()])) if labelled else ()
    )
    found = {}
    for split, (images, labels) in splits.items():
        names = [f"image {number}" for number in range(1, len(images) + 1)]
        if not labelled:
            labels, its_names = None, ()
        elif class_names:
            its_names = class_names
        else:
            labels, its_names = np.searchsorted(values, labels), tuple(map(str, values))

        def read(index, images=images):
            pixels = np.array(images[index])
            return pixels if pixels.ndim == 3 else pixels[..., None]

        found[split] = Collection(names, read, labels, its_names)
    return found


def _pictures(listing, background) -> tuple[dict[str, Collection], list[str]]:
    """The pictures of a folder or zip; their classes are folders, or come from a table."""
    if not listing.pictures:
        instead = f" ({'; '.join([*listing.tables, *listing.notes])})"[:200]
        raise Refused(
            f"{listing.name} holds no pictures{instead if len(instead) > 3 else ''}; needed are "
            f"{', '.join(READ[:7])} or other picture files, directly or in sub-folders."
        )
    splits, notes = split_and_classes(listing)
    labelled = all(classes is not None for _, classes in splits.values())
    every = sorted({each for _, classes in splits.values() for each in classes or ()})
    found = {}
    for split, (names, classes) in splits.items():

        def read(index, names=names):
            data = listing.read(names[index], MOST_BYTES + 1)
            if len(data) > MOST_BYTES:
                raise UnreadablePicture(f"more than {MOST_BYTES // 1_000_000} MB")
            return decode(data, background)

        labels = np.searchsorted(every, classes) if labelled else None
        found[split] = Collection(
            [printable(name) for name in names], read, labels, tuple(map(printable, every))
        )
    return found, [*listing.notes, *notes]


def fingerprint(path) -> str:
    """Hexadecimal; another one when what would be read of a source changes, in names or bytes."""
    path = Path(path)
    return content_hash(path) if path.is_dir() else sha256(path)


def look(path) -> str:
    """Hexadecimal; the same one as long as nobody has touched a file of a source.

    It takes place, names, sizes and times, not the bytes: 200,000 files in seconds.
    """
    path = Path(path)
    files, seen = walk(path) if path.is_dir() else [("", path.stat())], hashlib.sha256()
    seen.update(str(path.resolve()).encode("utf-8", "surrogatepass"))
    for name, status in files:
        about = status and (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        seen.update(f"\0{name}\0{about}".encode("utf-8", "surrogatepass"))
    return seen.hexdigest()
