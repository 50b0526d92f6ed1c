"""uint8 images on disk, float32 batches in [-1, 1] in training."""

import numpy as np
import tensorflow as tf

from helpers.pixels import check_images

LONGEST_EPOCH = 60_000  # images; a kill costs at most that many


def normalise(images):
    """uint8 [0, 255] to float32 [-1, 1]: x / 127.5 - 1.

    Works on NumPy arrays and tensors of any shape.
    """
    return tf.cast(images, tf.float32) / 127.5 - 1.0


def to_uint8(images) -> np.ndarray:
    """float [-1, 1] to uint8 [0, 255], rounded; the inverse of `normalise`.

    Raises:
        ValueError: a value lies outside [-1, 1] or is not finite.
    """
    images = np.asarray(images, np.float32)
    if not np.isfinite(images).all() or images.min() < -1.001 or images.max() > 1.001:
        raise ValueError(
            f"Images have values from {images.min():g} to {images.max():g}; needed is float in "
            "[-1, 1]. Normalise uint8 images with x / 127.5 - 1."
        )
    return np.uint8(np.clip(np.round((images + 1) * 127.5), 0, 255))


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
