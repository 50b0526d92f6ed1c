"""Images: uint8 on disk, cropped and resized; float32 batches in [-1, 1] in training."""

import numpy as np
import tensorflow as tf
from PIL import Image

LONGEST_EPOCH = 60_000  # images; a kill costs at most that many


def check_images(images) -> None:
    """Say in one sentence what is wrong with an image array on its way into the course.

    Raises:
        ValueError: not a uint8 array of shape (N, H, W, 1) or (N, H, W, 3) with N at least 1.
    """
    if not isinstance(images, np.ndarray):
        images = np.asarray(images)
    if images.dtype != np.uint8:
        raise ValueError(
            f"Images are {images.dtype} with values from {images.min():g} to {images.max():g}; "
            "needed is uint8 in [0, 255]."
        )
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or not len(images):
        raise ValueError(
            f"Images have shape {images.shape}; needed is (N, height, width, 1 or 3), N at least 1."
        )


def resize(images, size: int) -> np.ndarray:
    """Resize square images to `size` pixels, bilinear with antialiasing.

    Args:
        images: uint8 (N, H, W, C).

    Returns:
        uint8 (N, size, size, C); the input itself where it has that size.

    Raises:
        ValueError: not uint8, or not of that rank.
    """
    check_images(images)
    if images.shape[1:3] == (size, size):
        return images
    return np.stack([_resize_one(image, size) for image in images])


def conform(image, size: int, channels: int) -> np.ndarray:
    """Crop a picture to its central square, resize it and give it the wanted channels.

    Args:
        image: uint8 (H, W, 1) or (H, W, 3).
        channels: 1 for gray (luma of ITU-R BT.601, as Pillow's mode L), 3 for RGB.

    Returns:
        uint8 (size, size, channels).
    """
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    image = image[top : top + side, left : left + side]
    if image.shape[-1] > channels:
        image = np.asarray(Image.fromarray(image).convert("L"))[..., None]
    if side != size:
        image = _resize_one(image, size)
    return np.repeat(image, channels, axis=-1) if image.shape[-1] < channels else image


def _resize_one(image, size):
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    pixels = np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR))
    return pixels[..., None] if pixels.ndim == 2 else pixels


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
        ValueError: fewer images than one batch, or a batch of none.
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
        ValueError: images of another kind, or fewer than one batch of them.
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
        raise ValueError(f"BATCH_SIZE is {batch_size}; it is a number of images, at least 1.")
    if len(images) < batch_size:
        raise ValueError(
            f"There are {len(images)} images, fewer than one batch of {batch_size}; "
            "lower BATCH_SIZE or add images."
        )
