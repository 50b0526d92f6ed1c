"""The sources a learner brings: a folder, a zip, a CSV or NumPy file of pictures.

Nothing of them is ever written, moved or changed.
"""

import os
import stat
import threading
import zipfile
from pathlib import Path

import numpy as np

from helpers.data.collection import (
    MOST_BYTES,
    Collection,
    UnreadablePicture,
    decode,
    digest,
    fingerprint_of,
    leads_out,
    parse_background,
    require_existing,
    require_source,
    shown,
    shown_path,
)
from helpers.data.tables import read_arrays, read_csv

__all__ = [
    "Collection", "UnreadablePicture", "fingerprint", "open_path", "read_arrays", "read_csv",
    "read_folder", "read_zip",
]  # fmt: skip

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")
MOST_BYTES_IN_ZIP = 50_000_000_000  # of all pictures of one zip, unpacked


def open_path(path, background="white") -> Collection:
    """The pictures of a folder, or of a .zip, .csv, .npz or .npy file.

    Args:
        background: a colour's name or "#rrggbb", under what is transparent in a folder or zip.

    Raises:
        FileNotFoundError: there is nothing of that name.
        ValueError: another kind of file, or what the reader of its kind refuses.
    """
    path = require_existing(path)
    ending = path.suffix.lower()
    if ending == ".zip":
        return read_zip(path, background)
    if ending == ".csv":
        return read_csv(path)
    if ending in (".npz", ".npy"):
        return read_arrays(path)
    if path.is_dir():
        return read_folder(path, background)
    if ending in PICTURES:
        raise ValueError(f"{shown_path(path)} is a single picture; give the folder it lies in.")
    raise ValueError(
        f"{shown_path(path)} is no kind of file that is read here; give a folder of pictures, or a "
        ".zip, .csv, .npz or .npy file."
    )


def read_folder(path, background="white") -> Collection:
    """The JPEG, PNG, WebP, BMP and GIF files of a folder, in any depth, sorted by name.

    Hidden files and folders are left out, links to folders are not followed. Where all pictures
    lie in two or more sub-folders, these are the classes.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: no folder, no pictures in it, or an unknown background.
        OSError: a sub-folder cannot be opened.
    """
    background = parse_background(background)
    top = require_existing(path)
    if not top.is_dir():
        raise ValueError(f"{shown_path(top)} is a file, not a folder; give the folder it lies in.")
    files = sorted(_picture_files(top))
    if not files:
        raise ValueError(f"{shown_path(top)} {_NO_PICTURES}")
    names = [name for name, _ in files]

    def read(index):
        try:
            with open(top / names[index], "rb") as file:
                data = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise UnreadablePicture(f"cannot be opened ({error.strerror})") from error
        if len(data) > MOST_BYTES:
            raise UnreadablePicture(f"more than {MOST_BYTES // 1_000_000} MB")
        return decode(data, names[index], background)

    return Collection([_text(name) for name in names], read, _listing(files), *_classes(names))


def fingerprint(path) -> str:
    """That of `open_path(path)`, without reading a picture."""
    path = require_existing(path)
    return _listing(sorted(_picture_files(path))) if path.is_dir() else fingerprint_of(path)


def _listing(files) -> str:
    """Fingerprint of names and sizes. A copy of a folder has other times, so they do not count."""
    return digest(*(str(part) for file in files for part in file))


_NO_PICTURES = (
    "holds no pictures; needed are .jpg, .jpeg, .png, .webp, .bmp or .gif files, "
    "directly or in sub-folders."
)


def _picture_files(top):
    """Relative name with "/" and size of every picture below `top`."""

    def refuse(error):
        name = Path(error.filename or top).name
        raise type(error)(
            f"The folder {shown(name)} cannot be opened ({error.strerror}); allow reading it, or "
            "move it elsewhere."
        ) from error

    for folder, below, files in os.walk(top, onerror=refuse):
        below[:] = [name for name in below if not _is_hidden(name)]
        for name in files:
            if _is_hidden(name) or not name.lower().endswith(PICTURES):
                continue
            path = Path(folder, name)
            relative = path.relative_to(top).as_posix()
            try:
                status = path.stat()
            except OSError:  # a link to nothing: read() says so
                yield relative, -1
                continue
            if stat.S_ISREG(status.st_mode):  # not a pipe, which would block
                yield relative, status.st_size


def read_zip(path, background="white") -> Collection:
    """The pictures of a zip, read without unpacking it; otherwise like read_folder.

    A single folder around everything is no class but skipped.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no zip, a truncated one, an encrypted one, one with names that lead out of it
            or with absurd sizes, one without pictures, or an unknown background.
    """
    background = parse_background(background)
    path = require_source(path)
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # zipfile raises many kinds for a bad file
        raise ValueError(
            f"{shown_path(path)} is not a zip file or is truncated; download or upload it again."
        ) from error
    try:
        members = _picture_members(archive, shown_path(path))
        fingerprint = fingerprint_of(path)
    except BaseException:
        archive.close()
        raise
    names = [name for name, _ in members]
    lock = threading.Lock()  # one position in one file

    def read(index):
        info = members[index][1]
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UnreadablePicture("compressed otherwise than by deflate")
        try:
            with lock, archive.open(info) as member:
                # A length bounds the memory where the zip declares less than it holds.
                data = member.read(info.file_size + 1)
        except Exception as error:
            raise UnreadablePicture("damaged inside the zip") from error
        if len(data) != info.file_size:
            raise UnreadablePicture("of another size than the zip declares")
        return decode(data, names[index], background)

    tops = {name.split("/")[0] for name in names}
    wrapped = len(tops) == 1 and all("/" in name for name in names)
    inner = [name.split("/", 1)[1] for name in names] if wrapped else names
    return Collection([_text(name) for name in names], read, fingerprint, *_classes(inner))


def _picture_members(archive, name):
    """Sorted names and ZipInfo of the pictures in a zip.

    Raises:
        ValueError: there are none, or the zip is one of those that are refused.
    """
    members, total = [], 0
    for info in archive.infolist():
        entry = info.orig_filename  # before Python adapts it to the system
        if leads_out(entry):
            raise ValueError(
                f"{name} has an entry {shown(entry)!r}, a name that could lead out of the zip; "
                "make the zip again from a plain folder."
            )
        parts = [part for part in entry.split("/") if part not in ("", ".")]
        if (
            info.is_dir()
            or any(map(_is_hidden, parts))
            or not entry.lower().endswith(PICTURES)
        ):  # fmt: skip
            continue
        if info.flag_bits & 1:
            raise ValueError(
                f"{name} is encrypted ({shown(entry)!r} needs a password); make the zip again "
                "without a password."
            )
        if info.file_size > MOST_BYTES:
            raise ValueError(
                f"{name} has an entry {shown(entry)!r} of {info.file_size / 1e6:,.0f} MB unpacked; "
                f"a picture has at most {MOST_BYTES // 1_000_000} MB, so leave it out."
            )
        total += info.file_size
        members.append(("/".join(parts), info))
    if total > MOST_BYTES_IN_ZIP:
        raise ValueError(
            f"{name} has {total / 1e9:,.0f} GB of pictures unpacked; at most "
            f"{MOST_BYTES_IN_ZIP // 10**9} GB are read, so make a smaller zip."
        )
    if not members:
        raise ValueError(f"{name} {_NO_PICTURES}")
    return sorted(members, key=lambda member: (member[0], member[1].header_offset))


def _is_hidden(name) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _text(name) -> str:
    """`name` as text that can be printed and saved, whatever bytes the system has for it."""
    return name.encode("utf-8", "replace").decode("utf-8")


def _classes(names):
    """Labels and class names from the first folder of each name; None and () without."""
    tops = [name.split("/")[0] if "/" in name else None for name in names]
    class_names = sorted(set(tops) - {None})
    if None in tops or len(class_names) < 2:
        return None, ()
    index = {name: number for number, name in enumerate(class_names)}
    labels = np.array([index[name] for name in tops], np.int64)
    return labels, tuple(map(_text, class_names))
