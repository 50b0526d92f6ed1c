"""Pictures to arrays: decoded, cropped and resized to uint8; float32 batches in [-1, 1]."""

import io
from contextlib import suppress

import numpy as np
import tensorflow as tf
from PIL import Image, ImageColor, ImageOps, UnidentifiedImageError

from helpers.notebook import Refused

SMALLEST_SIDE = 8  # pixels; the networks of the course start there
MOST_PIXELS = 100_000_000  # of one picture, before any of them is decoded
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
LONGEST_EPOCH = 60_000  # images; a kill costs at most that many


class UnreadablePicture(Exception):
    """One picture cannot be used; the message is a short reason such as "truncated"."""


def decode(data: bytes, background: tuple[int, int, int]) -> np.ndarray:
    """Pixels of an encoded picture: the first frame, turned as its EXIF data says.

    Gray and black-and-white stay one channel, also where transparency is laid on a gray
    `background`; 16 bits are scaled to 8. Colour profiles are not applied.

    Args:
        data: the content of a JPEG, PNG, WebP, BMP or GIF file.
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


def steps_per_epoch(images, batch_size: int, profile) -> int:
    """Training steps that count as one epoch.

    An epoch is one pass over the images; a small set is gone through several times, up to the
    profile's `epoch_images`, and a set of more than 60,000 images in several epochs.

    Raises:
        Refused: fewer images than one batch, or a batch of none.
    """
    _require_a_batch(images, batch_size)
    return min(max(len(images), profile.epoch_images), LONGEST_EPOCH) // batch_size


def training_batches(images, batch_size: int, seed: int, first_step: int = 0) -> tf.data.Dataset:
    """Endless batches for `fit(steps_per_epoch=…)`.

    Every pass over the images has a new order that depends on the seed and the pass's number
    alone, so a training that resumes at `first_step` sees the batches it would have seen.

    Args:
        images: uint8 (N, H, W, C), in memory or mapped from a file.
        batch_size: images a batch; the last, partial batch of a pass is dropped.

    Returns:
        A dataset of float32 batches (batch_size, H, W, C) in [-1, 1].

    Raises:
        Refused: images of another kind, or fewer than one batch of them.
    """
    check_images(images)
    _require_a_batch(images, batch_size)
    steps = len(images) // batch_size  # of one pass

    def one_pass(number):
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(images)), seed=tf.stack([tf.constant(seed, tf.int64), number])
        )
        return tf.data.Dataset.from_tensor_slices(order).batch(batch_size, drop_remainder=True)

    def gather(chosen):
        batch = tf.numpy_function(lambda indices: images[indices], [chosen], tf.uint8)
        return normalise(tf.ensure_shape(batch, (batch_size, *images.shape[1:])))

    return (
        tf.data.Dataset.counter(first_step // steps)
        .flat_map(one_pass)
        .skip(first_step % steps)
        .map(gather, num_parallel_calls=1, deterministic=True)
        .prefetch(tf.data.AUTOTUNE)
    )


def _require_a_batch(images, batch_size):
    if batch_size < 1:
        raise Refused(f"BATCH_SIZE is {batch_size}; it is a number of images, at least 1.")
    if len(images) < batch_size:
        raise Refused(
            f"There are {len(images)} images, fewer than one batch of {batch_size}; "
            "lower BATCH_SIZE or add images."
        )
