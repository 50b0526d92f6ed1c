"""Pictures to arrays: decoded, cropped and resized to uint8; float32 in [-1, 1]."""

import io
from contextlib import suppress

import numpy as np
import tensorflow as tf
from PIL import Image, ImageColor, ImageOps, UnidentifiedImageError

from helpers.refused import Refused

SMALLEST_SIDE = 8  # pixels; the networks of the course start there
MOST_PIXELS = 100_000_000  # of one picture, before any of them is decoded
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")


class UnreadablePicture(Exception):
    """One picture cannot be used; the message is a short reason such as "truncated"."""


def decode(data: bytes, background: tuple[int, int, int]) -> np.ndarray:
    """Pixels of an encoded picture: the first frame, turned as its EXIF data says.

    Gray and black-and-white stay one channel, also where transparency is laid on a gray
    `background`; 16 bits are scaled to 8. Colour profiles are not applied.

    Args:
        data: the content of a JPEG, PNG, WebP, BMP, GIF, TIFF or PPM file.
        background: red, green and blue below transparent pixels.

    Returns:
        uint8 (H, W, 1) or (H, W, 3).

    Raises:
        UnreadablePicture: empty, no image, truncated, damaged, too small or absurdly large.
    """
    if not data:
        raise UnreadablePicture("empty")
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
        width, height = picture.size
        if width * height > MOST_PIXELS:
            raise Image.DecompressionBombError
        if min(width, height) < SMALLEST_SIDE:
            raise UnreadablePicture(f"{width}x{height} pixels, too small")
        picture.load()
        with suppress(Exception):  # damaged EXIF data turn nothing
            ImageOps.exif_transpose(picture, in_place=True)
        return _pixels(picture, background)
    except (UnreadablePicture, MemoryError):
        raise
    except Image.DecompressionBombError:  # Pillow's own limit comes first for the largest
        limit = f"{MOST_PIXELS // 1_000_000} million"
        raise UnreadablePicture(f"more than {limit} pixels, too large") from None
    except UnidentifiedImageError as error:
        if data[4:8] == b"ftyp":  # as telephones save them, whatever the name says
            kind = "AVIF" if data[8:12] == b"avif" else "HEIC"
            raise UnreadablePicture(f"{kind}, which is not read here") from error
        raise UnreadablePicture("not an image, or truncated") from error
    except Exception as error:  # Pillow's decoders raise many kinds for a bad file
        raise UnreadablePicture("truncated or damaged") from error


def _pixels(picture, background) -> np.ndarray:
    """uint8 (H, W, 1) or (H, W, 3) of a loaded picture in any of Pillow's modes."""
    mode = picture.mode
    if mode.startswith("I"):  # 16 bits; Pillow's own conversion would clip
        values = np.clip(np.asarray(picture).astype(np.int64), 0, 65535)
        return np.uint8((values + 128) // 257)[..., None]
    gray = mode in ("1", "L", "LA", "La")
    if "transparency" in picture.info or mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        below = Image.new("RGBA", picture.size, (*background, 255))
        picture = Image.alpha_composite(below, picture.convert("RGBA"))
        gray = gray and len(set(background)) == 1
    pixels = np.array(picture.convert("L" if gray else "RGB"))
    return pixels[..., None] if gray else pixels


def printable(name) -> str:
    """A name as it can be printed and saved: on one line, and the end of a very long one."""
    return "".join(c if c.isprintable() else "?" for c in str(name))[-80:]


def parse_background(background) -> tuple[int, int, int]:
    """Red, green and blue of a colour's name or "#rrggbb".

    Raises:
        Refused: Pillow knows no such colour.
    """
    try:
        return ImageColor.getrgb(background)[:3]
    except (ValueError, AttributeError, TypeError) as error:
        raise Refused(
            f"BACKGROUND is {str(background)[:40]!r}, which is no colour; give a name such as "
            "'white' or a value such as '#ffffff'."
        ) from error


def check_images(images) -> None:
    """Say in one sentence what is wrong with an image array on its way into the course.

    Raises:
        Refused: not a uint8 array of shape (N, H, W, 1) or (N, H, W, 3) with N at least 1.
    """
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or not len(images):
        raise Refused(
            f"Images have shape {images.shape}; needed is (N, height, width, 1 or 3), N at least 1."
        )
    if images.dtype != np.uint8:
        raise Refused(
            f"Images are {images.dtype} with values from {images.min():g} to {images.max():g}; "
            "needed is uint8 in [0, 255]."
        )


def center_crop(image) -> np.ndarray:
    """The central square of an image (H, W, C)."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]


def resize(images, size: int) -> np.ndarray:
    """Resize square images to `size` pixels, bilinear with antialiasing.

    Args:
        images: uint8 (N, H, W, C).

    Returns:
        uint8 (N, size, size, C); the input itself where it has that size.

    Raises:
        Refused: not uint8, or not of that rank.
    """
    check_images(images)
    if images.shape[1:3] == (size, size):
        return images
    return np.stack([_resize_one(image, size) for image in images])


def _resize_one(image, size):
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    pixels = np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR))
    return pixels.reshape(size, size, -1)


def conform(image, size: int, channels: int) -> np.ndarray:
    """Crop a picture to its central square, resize it and give it the wanted channels.

    Args:
        image: uint8 (H, W, 1) or (H, W, 3).
        channels: 1 for gray (luma of ITU-R BT.601, as Pillow's mode L), 3 for RGB.

    Returns:
        uint8 (size, size, channels).
    """
    image = center_crop(image)
    if image.shape[-1] > channels:
        image = np.asarray(Image.fromarray(image).convert("L"))[..., None]
    if len(image) != size:
        image = _resize_one(image, size)
    return np.repeat(image, channels, axis=-1) if image.shape[-1] < channels else image


def normalise(images):
    """uint8 [0, 255] to float32 [-1, 1]: x / 127.5 - 1.

    Works on NumPy arrays and tensors of any shape.
    """
    return tf.cast(images, tf.float32) / 127.5 - 1.0
