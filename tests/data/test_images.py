"""One picture to pixels, a set to [-1, 1], and the batches of a training."""

import struct
import warnings
import zlib

import numpy as np
import pytest
import tensorflow as tf
from pictures import encode, noise, refused
from PIL import Image

from helpers import normalise, resize, steps_per_epoch, to_uint8, training_batches
from helpers.data.images import UnreadablePicture, conform, decode, parse_background
from helpers.machine import PROFILES

RED, GREEN, WHITE = (255, 0, 0), (0, 255, 0), (255, 255, 255)


def square(colour=RED, mode="RGB", size=(10, 12)):
    return Image.new(mode, size, colour)


# Decoding


@pytest.mark.parametrize("form", ["PNG", "BMP", "GIF", "JPEG", "WEBP"])
def test_every_format_is_read_in_colour_and_its_first_frame(form):
    options = {"save_all": True, "append_images": [square(GREEN)]} if form == "GIF" else {}
    pixels = decode(encode(square(), form, **options), WHITE)
    assert pixels.dtype == np.uint8 and pixels.shape == (12, 10, 3)
    assert np.abs(pixels.astype(int) - RED).max() <= 3  # of lossy formats


@pytest.mark.parametrize("background", [WHITE, (0, 0, 0), (16, 32, 48)])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_laid_on_the_background(mode, background):
    gray = mode == "LA"
    picture = square((77, 255) if gray else (*GREEN, 255), "LA" if gray else "RGBA")
    picture.paste((0, 0) if gray else (0, 0, 0, 0), (5, 0, 10, 12))
    pixels = decode(encode(picture.quantize(4) if mode == "P" else picture), background)
    one_channel = gray and len(set(background)) == 1
    assert pixels.shape == (12, 10, 1 if one_channel else 3)
    assert (pixels[:, :5] == (77 if gray else GREEN)).all()
    assert (pixels[:, 5:] == background[: pixels.shape[-1]]).all()


def test_one_colour_declared_clear_and_half_clear_pixels():
    picture = square(99, "L")
    picture.paste(7, (5, 0, 10, 12))
    pixels = decode(encode(picture, transparency=7), WHITE)
    assert (pixels[:, 5:] == 255).all() and (pixels[:, :5] == 99).all()
    pixels = decode(encode(square((255, 0, 0, 128), "RGBA")), (0, 0, 0))
    assert np.abs(pixels.astype(int) - (128, 0, 0)).max() <= 1


def test_one_bit_sixteen_bit_and_cmyk():
    picture = square(0, "1")
    picture.paste(1, (0, 0, 5, 12))
    pixels = decode(encode(picture), WHITE)
    assert pixels.shape == (12, 10, 1) and pixels[0, :, 0].tolist() == [255] * 5 + [0] * 5
    values = np.zeros((12, 10), np.uint16)
    values[0, :6] = (65535, 257, 32896, 256, 128, 300)
    assert decode(encode(values), WHITE)[0, :6, 0].tolist() == [255, 1, 128, 1, 0, 1]  # not cut
    pixels = decode(encode(square((0, 255, 255, 0), "CMYK"), "JPEG", quality=100), WHITE)
    assert np.abs(pixels.astype(int) - RED).max() <= 3


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [(2, lambda x: x[:, ::-1]), (3, lambda x: x[::-1, ::-1]), (6, lambda x: np.rot90(x, -1))],
)
def test_exif_orientation(orientation, turned):
    picture = square((0, 0, 255), size=(48, 32))
    picture.paste(RED, (0, 0, 16, 16))  # a corner, top left
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(
        decode(encode(picture, exif=exif), WHITE), turned(np.array(picture))
    )


def png_header(width, height):
    """A PNG that claims a size and holds next to nothing."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", b"x")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"hello " * 50, "not an image"),
        (encode(square(), "TGA"), "not an image"),
        (encode(noise(1)[0], "JPEG")[:-60], "truncated"),
        (encode(noise(1)[0])[:2000], "truncated"),
        (png_header(20, 20), "truncated"),
        (encode(square(size=(3, 20))), "3x20 pixels, too small"),
        (png_header(10_001, 10_000), "more than 100 million pixels"),
        (png_header(60_000, 60_000), "more than 100 million pixels"),
    ],
)
def test_what_is_no_picture_has_a_short_reason(content, reason):
    with pytest.raises(UnreadablePicture, match=reason), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        decode(content, WHITE)


def test_backgrounds():
    assert parse_background("Navy") == (0, 0, 128) and parse_background("#102030") == (16, 32, 48)
    for background in ("nocolour", "#12", "", None):
        refused(lambda background=background: parse_background(background), "BACKGROUND", "'white'")


# Cropping and resizing


def test_a_picture_is_cropped_in_the_middle_and_made_gray_or_wide():
    image = noise(1, 40)[0]
    np.testing.assert_array_equal(conform(image[:, 5:35], 30, 3), image[5:35, 5:35])
    np.testing.assert_array_equal(conform(image[4:34], 30, 3), image[4:34, 5:35])
    gray = conform(image, 40, 1).astype(int)
    np.testing.assert_allclose(gray[..., 0], image @ [0.299, 0.587, 0.114], atol=1)
    assert (conform(image[..., :1], 40, 3) == image[..., :1]).all()
    assert conform(image, 28, 1).shape == (28, 28, 1)


def test_resize_keeps_values_and_directions_and_smooths_when_it_shrinks():
    flat = np.full((2, 28, 28, 3), (7, 8, 255), np.uint8)
    for size in (14, 28, 32):
        assert resize(flat, size).shape == (2, size, size, 3)
        assert (resize(flat, size) == (7, 8, 255)).all()
    ramp = np.broadcast_to(np.arange(0, 252, 9, np.uint8)[None, None, :, None], (1, 28, 28, 1))
    for size in (14, 32):
        resized = resize(ramp, size)[0, :, :, 0].astype(int)
        assert (np.diff(resized, axis=1) > 0).all() and np.ptp(resized, axis=0).max() <= 1
    images = noise(4, 56, 1)
    assert resize(images, 14).std() < 0.3 * images.std()  # half of it without antialiasing


# Batches

COUNT, BATCH = 22, 4
STEPS = COUNT // BATCH
# Image i is filled with the value 10 i, so that a batch tells which images are in it.
NUMBERED = np.broadcast_to(np.uint8(10 * np.arange(COUNT))[:, None, None, None], (COUNT, 8, 8, 1))


def epochs_of(count, images=NUMBERED, batch=BATCH, seed=1, first_step=0):
    """Numbers of the images in each batch, shape (epochs, steps, batch)."""
    steps = len(images) // batch
    batches = training_batches(images, batch, seed, first_step).take(count * steps)
    pixels = np.stack([to_uint8(part)[:, 0, 0, 0] for part in batches])
    return pixels.reshape(count, steps, batch) // 10


def test_every_value_survives():
    values = np.arange(256, dtype=np.uint8)
    floats = normalise(values).numpy()
    assert floats.dtype == np.float32 and (floats[0], floats[255]) == (-1, 1)
    np.testing.assert_allclose(floats, np.linspace(-1, 1, 256), atol=1e-6)
    np.testing.assert_array_equal(to_uint8(floats), values)


def test_batches_have_shape_dtype_and_range():
    images = noise(10, 8)
    dataset = training_batches(images, 4, seed=0)
    assert dataset.element_spec == tf.TensorSpec((4, 8, 8, 3), tf.float32)
    known = {image.tobytes() for image in images}
    assert all(image.tobytes() in known for batch in dataset.take(7) for image in to_uint8(batch))


def test_every_image_at_most_once_a_pass_and_the_remainder_is_another_each_time():
    epochs = epochs_of(6)
    assert all(len(np.unique(epoch)) == STEPS * BATCH for epoch in epochs)
    assert len(np.unique(epochs)) == COUNT
    order = epochs_of(1, images=NUMBERED[:20])
    np.testing.assert_array_equal(np.sort(order, axis=None), np.arange(20))
    assert np.abs(np.diff(order.ravel())).mean() > 3  # mixed


def test_order_depends_on_seed_and_pass_alone():
    epochs = epochs_of(3)
    np.testing.assert_array_equal(epochs, epochs_of(3))
    others = [epoch.tobytes() for epoch in [*epochs, *epochs_of(3, seed=2)]]
    assert len(set(others)) == 6


def test_a_training_resumes_anywhere_in_a_pass():
    whole = list(training_batches(NUMBERED, BATCH, seed=2).take(14))
    for first in (1, 4, 5, 7, 12):
        rest = training_batches(NUMBERED, BATCH, seed=2, first_step=first).take(14 - first)
        for old, new in zip(whole[first:], rest, strict=True):
            np.testing.assert_array_equal(old, new)


def test_steps_of_an_epoch():
    cases = {(10_000, "quick"): 78, (200, "quick"): 39, (60_000, "full"): 468, (512, "tiny"): 4}
    cases[200_000, "full"] = 468
    for (images, profile), steps in cases.items():
        assert steps_per_epoch(range(images), 128, PROFILES[profile]) == steps


def test_images_and_batches_of_another_kind_are_refused():
    gray = np.zeros((4, 8, 8, 1), np.uint8)
    for images, parts in (
        (gray.astype(np.float32) + 0.5, ["float32", "0.5", "uint8"]),
        (gray[..., 0], ["(4, 8, 8)", "1 or 3"]),
        (gray.repeat(4, axis=-1), ["(4, 8, 8, 4)", "1 or 3"]),
        (gray[:0], ["(0, 8, 8, 1)", "at least 1"]),
    ):
        refused(lambda images=images: resize(images, 8), *parts)
        refused(lambda images=images: training_batches(images, 2, seed=0), *parts)
    refused(lambda: training_batches(gray, 5, seed=0), "4 images", "batch of 5", "lower")
    refused(lambda: steps_per_epoch(gray, 0, PROFILES["tiny"]), "BATCH_SIZE is 0")
