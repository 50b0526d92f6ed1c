"""Folders and zips of pictures: which entries are pictures, and what is left out."""

import hashlib
import os
import re
import stat
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from helpers.data.images import UnreadablePicture, printable
from helpers.refused import Refused

READ = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
READ += (".ppm", ".pgm")
UNREAD = (
    ".heic", ".heif", ".avif", ".jxl", ".jp2", ".svg", ".psd", ".ico", ".tga",
    ".cr2", ".nef", ".arw", ".dng", ".raw", ".eps", ".pcx", ".exr",
)  # fmt: skip
NO_PICTURES = (  # but perhaps what was meant
    ".csv", ".tsv", ".xlsx", ".parquet", ".npy", ".npz", ".mat", ".h5", ".hdf5", ".pkl",
    ".tfrecord", ".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".bz2", ".xz", ".gzip",
)  # fmt: skip
STARTS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"II*\0", b"MM\0*")  # of what is read
MOST_BYTES = 200_000_000  # of one picture's file


@dataclass(frozen=True)
class Listing:
    """What lies in a folder or zip, hidden entries left out.

    Attributes:
        pictures: names of what is read, relative, with "/", sorted.
        tables: names of CSV files.
        read: the first bytes of the entry of a name; raises UnreadablePicture.
        notes: what is left out, in sentences.
    """

    name: str
    pictures: list[str]
    tables: list[str]
    read: Callable[[str, int], bytes]
    notes: list[str]


def list_folder(top: Path) -> Listing:
    """In any depth; links to folders are followed, each folder once."""

    def read(name, count):
        try:
            with open(top / name, "rb") as file:
                return file.read(count)
        except OSError as error:
            raise UnreadablePicture(f"cannot be opened ({error.strerror})") from error

    return _sorted_out(top.name, [name for name, _ in walk(top)], read)


def walk(top):
    """Relative name with "/" and `os.stat_result` (None for a link to nothing) of every file."""
    seen, todo = set(), [("", str(top))]
    while todo:
        prefix, folder = todo.pop()
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen and status.st_ino:
            continue
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as entries:
            entries = sorted(entries, key=lambda entry: entry.name)
        links = []
        for entry in entries:
            name = prefix + entry.name
            if is_hidden(entry.name):
                continue
            if entry.is_dir():
                (links if entry.is_symlink() else todo).append((f"{name}/", entry.path))
                continue
            try:
                status = entry.stat()
            except OSError:
                status = None
            if status is None or stat.S_ISREG(status.st_mode):  # not a pipe, which would block
                yield name, status
        todo[:0] = links  # after all that lies here itself


def list_zip(path: Path) -> Listing:
    """Read without unpacking, so that no name leads out of it."""
    try:
        archive = zipfile.ZipFile(path)
        entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise Refused(
            f"{path.name} is not a zip file or is truncated; download or upload it again."
        ) from error
    members = {}
    for info in entries:
        parts = [part for part in re.split(r"[/\\]", info.filename) if part not in ("", ".", "..")]
        if not info.is_dir() and parts and not any(map(is_hidden, parts)):
            members["/".join(parts)] = info

    def read(name, count):
        info = members[name]
        if info.flag_bits & 1:
            raise UnreadablePicture("needs a password")
        try:
            with archive.open(info) as member:
                # Asked for so many bytes, it unpacks no more, whatever the zip really holds.
                return member.read(min(count, info.file_size))
        except NotImplementedError:
            raise UnreadablePicture("compressed in a way that is not read here") from None
        except Exception as error:  # zipfile and zlib raise many kinds for a bad file
            raise UnreadablePicture("damaged inside the zip") from error

    return _sorted_out(path.name, list(members), read)


def _sorted_out(name, names, read) -> Listing:
    pictures, tables, unread, others = [], [], Counter(), []
    for each in sorted(names):
        ending = PurePosixPath(each).suffix.lower()
        if ending in READ:
            pictures.append(each)
        elif ending in UNREAD:
            unread[ending] += 1
        elif ending in NO_PICTURES:
            (tables if ending == ".csv" else others).append(each)
        else:
            try:
                start = read(each, 12)
            except UnreadablePicture:
                continue
            if start.startswith(STARTS):
                pictures.append(each)
            elif start[4:8] == b"ftyp" and start[8:12] in (b"heic", b"heix", b"mif1", b"avif"):
                unread[ending or "no ending"] += 1
    notes = []
    if unread:
        counts = ", ".join(f"{count} {ending}" for ending, count in unread.most_common())
        notes.append(f"{name}: left out, as not read here: {counts}; save them as JPEG or PNG")
    if others:
        some = ", ".join(printable(each) for each in others[:3])
        notes.append(
            f"{name}: not read, as no pictures, are {some}{' …' * (len(others) > 3)}; to use one, "
            "unpack it and set DATASET to it"
        )
    return Listing(name, pictures, tables, read, notes)


def content_hash(top: Path) -> str:
    """SHA-256 of all that `list_folder` would read: names and bytes."""
    listing, content = list_folder(top), hashlib.sha256()
    for name in [*listing.pictures, *listing.tables]:
        content.update(name.encode("utf-8", "surrogatepass") + b"\0")
        try:
            with open(top / name, "rb") as file:
                content.update(hashlib.file_digest(file, "sha256").digest())
        except OSError:
            content.update(b"unreadable")
    return content.hexdigest()


def is_hidden(name) -> bool:
    return name.startswith(".") or name == "__MACOSX"
