"""Images in a new order every epoch, cut into batches: what lesson 2 builds and lesson 4 uses."""

import tensorflow as tf

from helpers.data.images import check_images, normalise
from helpers.refused import Refused
from helpers.training.machines import part_of_this_machine

LONGEST_EPOCH = 60_000  # images; a kill costs at most that many


def steps_per_epoch(images, batch_size: int, profile) -> int:
    """Training steps that count as one epoch.

    An epoch is one pass over the images; a small set is gone through several times, up to the
    profile's `epoch_images`, and a set of more than 60,000 images in several epochs.

    Raises:
        Refused: fewer images than one batch, or a batch of none.
    """
    _require_a_batch(images, batch_size)
    return min(max(len(images), profile.epoch_images), LONGEST_EPOCH) // batch_size


def training_batches(
    images, batch_size: int, seed: int, first_step: int = 0, labels=None, devices=None
) -> tf.data.Dataset:
    """Endless batches for `fit(steps_per_epoch=…)`.

    Every pass over the images has a new order that depends on the seed and the pass's number
    alone, so a training that resumes at `first_step` sees the batches it would have seen.

    Args:
        images: uint8 (N, H, W, C), in memory or mapped from a file.
        batch_size: images a batch; the last, partial batch of a pass is dropped.
        labels: int (N,) of the images, or None.
        devices: of `open_devices`. Where several machines train together, the batches are this
            machine's part of the global ones, and no other images are read.

    Returns:
        A dataset of float32 batches (batch_size, H, W, C) in [-1, 1]; with `labels`, of pairs of
        such a batch and its labels, int32 (batch_size,).

    Raises:
        Refused: images of another kind, fewer than one batch of them, another number of labels, or
            devices that do not divide a batch.
    """
    check_images(images)
    _require_a_batch(images, batch_size)
    if labels is not None and len(labels) != len(images):
        raise Refused(
            f"There are {len(images)} images and {len(labels)} labels; each image needs one."
        )
    steps = len(images) // batch_size  # of one pass
    part = part_of_this_machine(batch_size, devices)
    labels = None if labels is None else tf.constant(labels, tf.int32)

    def one_pass(number):
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(images)), seed=tf.stack([tf.constant(seed, tf.int64), number])
        )
        return tf.data.Dataset.from_tensor_slices(order).batch(batch_size, drop_remainder=True)

    def gather(chosen):
        chosen = chosen[part]
        batch = tf.numpy_function(lambda indices: images[indices], [chosen], tf.uint8)
        batch = normalise(tf.ensure_shape(batch, (chosen.shape[0], *images.shape[1:])))
        return batch if labels is None else (batch, tf.gather(labels, chosen))

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
