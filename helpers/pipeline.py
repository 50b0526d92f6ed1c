"""uint8 images on disk, float32 batches in [-1, 1] in training."""

import numpy as np
import tensorflow as tf

from helpers.preparation import check_images


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


def training_batches(images, batch_size: int, seed: int, first_epoch: int = 0) -> tf.data.Dataset:
    """Endless batches for `fit(steps_per_epoch=len(images) // batch_size)`.

    Every epoch is a new order that depends on the seed and the epoch's number alone, so a
    training that resumes at `first_epoch` sees the batches it would have seen.

    Args:
        images: uint8 (N, H, W, C).
        batch_size: images a batch; the last, partial batch of an epoch is dropped.

    Returns:
        A dataset of float32 batches (batch_size, H, W, C) in [-1, 1].

    Raises:
        ValueError: images of another kind, or fewer than one batch of them.
    """
    check_images(images)
    if batch_size < 1:
        raise ValueError(f"BATCH_SIZE is {batch_size}; it is a number of images, at least 1.")
    if len(images) < batch_size:
        raise ValueError(
            f"There are {len(images)} images, fewer than one batch of {batch_size}; "
            "lower BATCH_SIZE or add images."
        )
    images = tf.constant(images)

    def one_epoch(epoch):
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(images)), seed=tf.stack([tf.constant(seed, tf.int64), epoch])
        )
        return tf.data.Dataset.from_tensor_slices(order).batch(batch_size, drop_remainder=True)

    return (
        tf.data.Dataset.counter(first_epoch)
        .flat_map(one_epoch)
        .map(lambda chosen: normalise(tf.gather(images, chosen)))
        .prefetch(tf.data.AUTOTUNE)
    )
