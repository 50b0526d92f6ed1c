"""From uint8 to [-1, 1] and back, and the batches of an epoch."""

import numpy as np
import pytest
import tensorflow as tf

from helpers import normalise, to_uint8, training_batches

COUNT, BATCH = 22, 4
STEPS = COUNT // BATCH
# Image i is filled with the value 10 i, so that a batch tells which images are in it.
NUMBERED = np.broadcast_to(
    np.uint8(10 * np.arange(COUNT))[:, None, None, None], (COUNT, 8, 8, 1)
).copy()


def epochs_of(count, seed=1, first_epoch=0, images=NUMBERED, batch=BATCH):
    """Numbers of the images in each batch, shape (epochs, steps, batch)."""
    steps = len(images) // batch
    batches = training_batches(images, batch, seed, first_epoch * steps).take(count * steps)
    pixels = np.stack([to_uint8(part)[:, 0, 0, 0] for part in batches])
    return pixels.reshape(count, steps, batch) // 10


def test_every_value_survives():
    values = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    floats = normalise(values)
    assert floats.dtype == tf.float32 and floats.shape == values.shape
    assert (float(floats[0, 0, 0, 0]), float(floats[0, 15, 15, 0])) == (-1.0, 1.0)
    assert (np.diff(np.ravel(floats)) > 0).all()
    back = to_uint8(floats)
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, values)


def test_to_uint8_rounds_and_forgives_only_rounding_errors():
    floats = np.float32([-1.0005, -1, 0.4 / 127.5, 0.6 / 127.5, 1, 1.0005])
    # 127.5 + 0.4 rounds to 128, and so does 127.5 + 0.6.
    assert to_uint8(floats).tolist() == [0, 0, 128, 128, 255, 255]
    for value in (-1.01, 1.01):
        with pytest.raises(ValueError, match=f"{value:g}"):
            to_uint8(np.float32([0, value]))


@pytest.mark.parametrize("channels", [1, 3])
def test_batches_have_shape_dtype_and_range(channels):
    images = np.random.default_rng(0).integers(0, 256, (10, 8, 8, channels), np.uint8)
    dataset = training_batches(images, 4, seed=0)
    assert dataset.element_spec.shape == (4, 8, 8, channels)
    assert dataset.element_spec.dtype == tf.float32
    known = {image.tobytes() for image in images}
    for batch in dataset.take(7):
        assert batch.shape == (4, 8, 8, channels)
        assert float(tf.reduce_min(batch)) >= -1 and float(tf.reduce_max(batch)) <= 1
        assert all(image.tobytes() in known for image in to_uint8(batch))


def test_every_image_at_most_once_an_epoch():
    epochs = epochs_of(6)
    for epoch in epochs:
        assert len(np.unique(epoch)) == STEPS * BATCH
    # The remainder that is dropped is another one each time.
    assert len(np.unique(epochs)) == COUNT


def test_every_image_exactly_once_where_batches_fill_the_set():
    for epoch in epochs_of(3, images=NUMBERED[:20]):
        np.testing.assert_array_equal(np.sort(epoch, axis=None), np.arange(20))


def test_one_batch_may_hold_all():
    np.testing.assert_array_equal(np.sort(epochs_of(1, batch=COUNT)[0, 0]), np.arange(COUNT))


def test_order_depends_on_seed_and_epoch_alone():
    epochs = epochs_of(3)
    np.testing.assert_array_equal(epochs, epochs_of(3))
    assert len({epoch.tobytes() for epoch in epochs}) == 3
    assert len({epochs_of(1, seed=seed).tobytes() for seed in range(4)}) == 4
    # An epoch of one seed is no epoch of the next.
    others = {epoch.tobytes() for epoch in epochs_of(3, seed=2)}
    assert not others & {epoch.tobytes() for epoch in epochs}


@pytest.mark.parametrize("first", [1, 2, 4])
def test_resumed_batches_are_those_of_an_uninterrupted_pipeline(first):
    np.testing.assert_array_equal(epochs_of(5)[first:], epochs_of(5 - first, first_epoch=first))


def test_images_come_mixed():
    order = epochs_of(1, images=NUMBERED[:20]).ravel()
    assert np.abs(np.diff(order)).mean() > 3
