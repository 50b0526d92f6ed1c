"""The sources a learner brings: a folder, a zip, a CSV or NumPy file of pictures.

Nothing of them is ever written, moved or changed.
"""

import hashlib
import os
import re
import stat
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helpers.data.images import UnreadablePicture, decode, parse_background
from helpers.data.tables import printable, read_arrays, read_csv
from helpers.notebook import Refused

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")
MOST_BYTES = 200_000_000  # of one picture's file
MOST_BYTES_IN_ZIP = 50_000_000_000  # of all pictures of one zip, unpacked
HASHED = 50_000_000  # bytes at either end of a file


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


def open_path(path, background: str = "white") -> Collection:
    """The pictures of a folder, or of a .zip, .csv, .npz or .npy file.

    Args:
        path: of what is there.
        background: a colour's name or "#rrggbb", under what is transparent in a folder or zip.

    Raises:
        Refused: another kind of file, one that is damaged or cannot be opened, or an unknown
            background; one sentence.
    """
    path, background = Path(path), parse_background(background)
    try:
        if path.is_dir():
            return _open_folder(path, background)
        ending = path.suffix.lower()
        if ending == ".zip":
            return _open_zip(path, background)
        if ending == ".csv":
            return collect(*read_csv(path))
        if ending in (".npz", ".npy"):
            return collect(*read_arrays(path))
    except OSError as error:
        name = Path(error.filename or path).name
        raise Refused(
            f"{name} cannot be opened ({error.strerror or error}); allow reading it, or move it "
            "elsewhere."
        ) from error
    if ending in PICTURES:
        raise Refused(f"{path.name} is a single picture; give the folder it lies in.")
    raise Refused(
        f"{path.name} is no kind of file that is read here; give a folder of pictures, or a .zip, "
        ".csv, .npz or .npy file."
    )


def fingerprint(path) -> str:
    """Hexadecimal; another one when the files of a source change.

    Of a folder it depends on the pictures' names and sizes (a copy of it has other times), of a
    file on its size and on 50 MB at either end.
    """
    path = Path(path)
    if path.is_dir():
        listing = "\0".join(f"{name}\0{size}" for name, size in sorted(_picture_files(path)))
        return hashlib.sha256(listing.encode("utf-8", "surrogatepass")).hexdigest()
    size = path.stat().st_size
    with open(path, "rb") as file:
        content = hashlib.sha256(b"%d\0" % size + file.read(HASHED))
        file.seek(max(size - HASHED, 0))
        content.update(file.read())
    return content.hexdigest()


def collect(images, labels=None, class_names=()) -> Collection:
    """Arrays as a collection.

    Args:
        images: uint8 (N, H, W) or (N, H, W, 1 or 3).
        labels: (N,) of numbers or texts, or None. Without `class_names` they become 0 to K-1 in
            the order of their values, which are then the names.
    """
    names = [f"image {number}" for number in range(1, len(images) + 1)]
    if labels is not None and not class_names:
        values, labels = np.unique(labels, return_inverse=True)
        class_names = tuple(map(str, values))

    def read(index):
        pixels = np.array(images[index])
        return pixels if pixels.ndim == 3 else pixels[..., None]

    return Collection(names, read, labels, class_names)


# Folders and zips


def _open_folder(top, background) -> Collection:
    """The pictures of a folder, in any depth, sorted by name; sub-folders are the classes.

    Hidden files and folders are left out, links to folders are not followed.
    """
    names = sorted(name for name, _ in _picture_files(top))

    def read(index):
        try:
            with open(top / names[index], "rb") as file:
                data = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise UnreadablePicture(f"cannot be opened ({error.strerror})") from error
        if len(data) > MOST_BYTES:
            raise UnreadablePicture(f"more than {MOST_BYTES // 1_000_000} MB")
        return decode(data, background)

    return _with_classes(names, read, top)


def _picture_files(top):
    """Relative name with "/" and size of every picture below `top`; -1 for a link to nothing."""

    def refuse(error):
        raise error

    for folder, below, files in os.walk(top, onerror=refuse):
        below[:] = [name for name in below if not _is_hidden(name)]
        for name in files:
            if name.lower().endswith(PICTURES) and not _is_hidden(name):
                path = Path(folder, name)
                status = path.stat() if path.exists() else None
                if status is None or stat.S_ISREG(status.st_mode):  # not a pipe, which would block
                    yield path.relative_to(top).as_posix(), status.st_size if status else -1


def _open_zip(path, background) -> Collection:
    """The pictures of a zip, read without unpacking it; otherwise like a folder."""
    try:
        archive = zipfile.ZipFile(path)
        entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise Refused(
            f"{path.name} is not a zip file or is truncated; download or upload it again."
        ) from error
    members = {}
    for info in entries:
        name = info.filename.replace("\\", "/")  # as some zips of Windows have it
        if re.match("/|[A-Za-z]:", name) or ".." in name.split("/"):
            raise Refused(
                f"{path.name} has an entry {printable(name)!r}, a name that could lead out of the "
                "zip; make the zip again from a plain folder."
            )
        hidden = any(_is_hidden(part) for part in name.split("/"))
        if name.lower().endswith(PICTURES) and not hidden:
            members[name] = info
            _check_member(info, path.name)
    total = sum(info.file_size for info in members.values())
    if total > MOST_BYTES_IN_ZIP:
        raise Refused(
            f"{path.name} has {total / 1e9:,.0f} GB of pictures unpacked; at most "
            f"{MOST_BYTES_IN_ZIP // 10**9} GB are read, so make a smaller zip."
        )
    names = sorted(members)

    def read(index):
        info = members[names[index]]
        try:
            with archive.open(info) as member:
                # Asked for so many bytes, it unpacks no more, whatever the zip really holds.
                data = member.read(info.file_size)
        except Exception as error:  # zipfile and zlib raise many kinds for a bad file
            raise UnreadablePicture("damaged inside the zip") from error
        return decode(data, background)

    return _with_classes(names, read, path)


def _check_member(info, zip_name) -> None:
    """Refuse an entry that needs a password, or would fill the memory."""
    name = printable(info.filename)
    if info.flag_bits & 1:
        raise Refused(
            f"{zip_name} is encrypted ({name!r} needs a password); make the zip again without a "
            "password."
        )
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Refused(
            f"{zip_name} is compressed in a way that is not read here; make the zip again with "
            "your system's own program."
        )
    if info.file_size > MOST_BYTES:
        raise Refused(
            f"{zip_name} has an entry {name!r} of {info.file_size / 1e6:,.0f} MB unpacked; a "
            f"picture has at most {MOST_BYTES // 1_000_000} MB, so leave it out."
        )


def _with_classes(names, read, path) -> Collection:
    """A collection whose classes are the first folders below the one that holds all pictures.

    There are no labels where a picture lies beside these folders, or where there is but one.
    """
    if not names:
        raise Refused(
            f"{path.name} holds no pictures; needed are .jpg, .jpeg, .png, .webp, .bmp or .gif "
            "files, directly or in sub-folders."
        )
    parts = [name.split("/") for name in names]
    if path.is_file() and all(len(p) > 1 and p[0] == parts[0][0] for p in parts):
        parts = [part[1:] for part in parts]  # a zip of one folder, which is no class
    shown = [printable(name) for name in names]
    class_names, labels = np.unique([part[0] for part in parts], return_inverse=True)
    if len(class_names) < 2 or any(len(part) == 1 for part in parts):
        return Collection(shown, read)
    return Collection(shown, read, labels, tuple(map(printable, class_names)))


def _is_hidden(name) -> bool:
    return name.startswith(".") or name == "__MACOSX"
