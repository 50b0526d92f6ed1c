"""What every reader gives back, and how one encoded picture becomes pixels."""

import hashlib
import io
import os
import re
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor, ImageOps, UnidentifiedImageError

from helpers.machine import short

SMALLEST_SIDE = 8  # pixels; the networks of the course start there
MOST_PIXELS = 100_000_000  # of one picture; a header that claims more is refused
MOST_BYTES = 200_000_000  # of one picture's file
_HASHED = 100_000_000  # bytes; of a larger file only both ends are hashed
_END = 4_000_000  # bytes
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"BM", b"GIF8")
_FILTERS = threading.Lock()  # Python's list of warning filters belongs to all threads


class UnreadablePicture(Exception):
    """One picture cannot be used; the message is a short reason such as "truncated"."""


@dataclass(frozen=True)
class Collection:
    """Pictures that are read one by one, in a fixed order.

    Attributes:
        names: of each picture, for messages: its relative path with "/", or "row 17".
        read: index -> uint8 (H, W, 1) or (H, W, 3), from any thread. Raises UnreadablePicture,
            or ValueError in one sentence where the header claims an absurd size.
        fingerprint: hexadecimal; another one when the source's files change.
        labels: int64 (N,), or None.
        class_names: as many as there are labels; empty without labels.
    """

    names: Sequence[str]
    read: Callable[[int], np.ndarray]
    fingerprint: str
    labels: np.ndarray | None = None
    class_names: tuple[str, ...] = ()


def shown(name, longest=80) -> str:
    """A name or value as a message may show it: printable, on one line and not too long."""
    text = "".join(c if c.isprintable() else "?" for c in str(name))
    return text if len(text) <= longest else "…" + text[1 - longest :]


def leads_out(name) -> bool:
    """Whether an archive's entry of that name could be unpacked elsewhere than in its folder.

    Args:
        name: as it stands in the archive, before Python adapts it to the system.
    """
    risky = re.match(r"/|[A-Za-z]:", name) or "\\" in name or "\0" in name
    return bool(risky) or ".." in name.split("/")


def shown_path(path) -> str:
    """`path` without the part that depends on the machine, as a message may show it."""
    return shown(short(path) or path)


def require_source(path) -> Path:
    """The path of a file that is there and can be opened.

    Raises:
        FileNotFoundError: there is nothing of that name.
        ValueError: it is a folder, or nothing that can be read.
        OSError: it cannot be opened.
    """
    path = require_existing(path)
    if path.is_dir():
        raise ValueError(
            f"{shown_path(path)} is a folder, not a {path.suffix or 'single'} file; give the file, "
            "or a folder of pictures whose name has no such ending."
        )
    if not path.is_file():
        raise ValueError(f"{shown_path(path)} is no ordinary file; copy its content to a file.")
    try:
        open(path, "rb").close()
    except OSError as error:
        raise type(error)(
            f"{shown_path(path)} cannot be opened ({error.strerror}); allow reading it."
        ) from error
    return path


def require_existing(path) -> Path:
    """The path of what is there, with `~` for the own folder.

    Raises:
        FileNotFoundError: there is nothing of that name, or the name is empty.
    """
    if not str(path).strip():
        raise FileNotFoundError("The path is empty; give a folder or a file with your pictures.")
    path = os.path.expanduser(path)
    if not os.path.exists(path):  # also False for a name the system does not allow
        raise FileNotFoundError(
            f"{shown_path(path)} does not exist; check its spelling and folder, and in Colab "
            "whether it is uploaded or Drive is mounted."
        )
    return Path(path)


def fingerprint_of(path) -> str:
    """Hexadecimal; another one when the content changes, above 100 MB its size or either end."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size <= _HASHED:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        else:
            ends = file.read(_END)
            file.seek(max(size - _END, 0))
            content = hashlib.sha256(ends + file.read()).hexdigest()
    return digest(str(size), content)


def digest(*texts) -> str:
    """SHA-256 of several texts, in hexadecimal."""
    together = "\0".join(texts).encode("utf-8", "surrogatepass")  # names may be no valid text
    return hashlib.sha256(together).hexdigest()


def parse_background(background) -> tuple[int, int, int]:
    """Red, green and blue of a colour's name or "#rrggbb".

    Raises:
        ValueError: Pillow knows no such colour.
    """
    try:
        return ImageColor.getrgb(background)[:3]
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(
            f"The background {shown(repr(background))} is no colour; give a name such as 'white' "
            "or a value such as '#ffffff'."
        ) from error


def decode(data: bytes, name: str, background: tuple[int, int, int]) -> np.ndarray:
    """Pixels of an encoded picture: the first frame, turned as its EXIF data says.

    Gray and black-and-white stay one channel, also where transparency is laid on a gray
    `background`; 16 bits are scaled to 8. Colour profiles are not applied.

    Args:
        data: the content of a JPEG, PNG, WebP, BMP or GIF file.
        name: of the picture, for the message.
        background: what transparent pixels are laid on.

    Returns:
        uint8 (H, W, 1) or (H, W, 3).

    Raises:
        UnreadablePicture: empty, no image, truncated, damaged or too small.
        ValueError: the header claims more than 100 million pixels.
    """
    if not data:
        raise UnreadablePicture("empty")
    try:
        with _without_warnings():
            picture = Image.open(io.BytesIO(data), formats=_FORMATS)
    except Image.DecompressionBombError as error:
        raise ValueError(_absurd(name)) from error
    except UnidentifiedImageError as error:
        known = data.startswith(_SIGNATURES)
        raise UnreadablePicture("truncated or damaged" if known else "not an image") from error
    except Exception as error:
        raise _unreadable(error) from error
    width, height = picture.size
    if width * height > MOST_PIXELS:
        raise ValueError(_absurd(name))
    if min(width, height) < SMALLEST_SIDE:
        raise UnreadablePicture(f"{width}x{height} pixels, too small")
    try:
        picture.load()
        with _without_warnings(), suppress(Exception):  # damaged EXIF data turn nothing
            ImageOps.exif_transpose(picture, in_place=True)
        return _pixels(picture, background)
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds for a bad file
        raise _unreadable(error) from error


@contextmanager
def _without_warnings():
    """One thread at a time: others would restore each other's filters."""
    with _FILTERS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _unreadable(error) -> UnreadablePicture:
    plain = "truncated" in str(error).lower() or isinstance(error, EOFError)
    return UnreadablePicture("truncated" if plain else "truncated or damaged")


def _absurd(name) -> str:
    return (
        f"{shown(name)} claims more than {MOST_PIXELS // 1_000_000} million pixels, which would "
        "fill the memory; remove it or make it smaller."
    )


def _pixels(picture, background) -> np.ndarray:
    """uint8 (H, W, 1) or (H, W, 3) of a loaded picture in any of Pillow's modes."""
    mode = picture.mode
    if mode.startswith("I"):  # 16 bits; Pillow's own conversion would clip
        values = np.clip(np.asarray(picture).astype(np.int64), 0, 65535)
        return np.uint8((values + 128) // 257)[..., None]
    gray = mode in ("1", "L", "LA", "La")
    if "transparency" in picture.info or mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        below = Image.new("RGBA", picture.size, (*background, 255))
        picture = Image.alpha_composite(below, picture.convert("RGBA")).convert("RGB")
        gray = gray and len(set(background)) == 1
        channels = np.asarray(picture)[..., : 1 if gray else 3]
    elif gray:
        channels = np.asarray(picture.convert("L"))[..., None]
    else:
        channels = np.asarray(picture.convert("RGB"))
    return channels.copy()
