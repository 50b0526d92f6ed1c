"""Pictures as arrays in a NumPy file: which array, which axes, which scale, which labels."""

import math

import numpy as np

from helpers.data.images import SMALLEST_SIDE, printable
from helpers.refused import Refused

IMAGE_KEYS = ("images", "x", "data", "inputs", "x_train", "train_images", "train_x", "arr_0")
LABEL_KEYS = ("labels", "label", "y", "targets", "y_train", "train_labels", "train_y", "arr_1")
HELD_OUT = {  # names of a second part: of its labels
    "x_test": "y_test", "test_images": "test_labels", "test_x": "test_y",
    "x_val": "y_val", "val_images": "val_labels", "x_valid": "y_valid",
}  # fmt: skip
ROWS_AT_ONCE = 10_000


def read_arrays(path) -> tuple[dict, list[str]]:
    """The pictures of an .npz, with labels or without, or of an .npy.

    Images lie in an .npz under one of IMAGE_KEYS, labels under one of LABEL_KEYS, and what is held
    out under the names of HELD_OUT; capitals do not matter. Axes in the order of MATLAB or PyTorch
    are turned. Numbers from 0 to 1 or from -1 to 1 become 0 to 255.

    Returns:
        Images uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3), those of an .npy of uint8 mapped from
        the file, and labels (N,), integers or texts, or None, under `all`, or under `train` and
        `held_out`; and sentences about what could be read in another way.

    Raises:
        OSError: the file cannot be opened.
        Refused: the file or an array is something else; says what to do.
    """
    notes = []
    try:
        content = np.load(path, mmap_mode="r")
        if isinstance(content, np.ndarray):
            found = {"all": (content, None)}
        else:
            found = _choose(content, path.name, notes)
    except (OSError, Refused):
        raise
    except Exception as error:  # NumPy and zipfile raise many kinds for a bad file
        raise Refused(
            f"{path.name} is truncated, or holds something else than arrays of numbers; save one "
            "array of uint8 with np.save or np.savez."
        ) from error
    splits = {}
    for split, (images, labels) in found.items():
        images = _as_pixels(_turned(images, path.name, notes), path.name, notes)
        splits[split] = images, None if labels is None else _as_labels(labels, images, path.name)
    return splits, list(dict.fromkeys(notes))


def _choose(content, name, notes) -> dict:
    """The arrays of an .npz, by their names."""
    keys = {key.lower(): key for key in content.files}
    images = _find_key(keys, IMAGE_KEYS, name)
    labels = _find_key(keys, LABEL_KEYS, name, needed=False)
    if labels == "arr_1" and content[keys["arr_1"]].shape[0] != len(content[keys[images]]):
        labels = None  # a second array without a name may be anything
    chosen = {"train": (images, labels)}
    held_out = next((key for key in HELD_OUT if key in keys), None)
    if held_out:
        its_labels = HELD_OUT[held_out] if HELD_OUT[held_out] in keys else None
        if not labels or not its_labels:
            chosen["train"], its_labels = (images, None), None
        chosen["held_out"] = held_out, its_labels
        notes.append(f"{name}: {keys[images]} is trained on, {keys[held_out]} is held out")
    elif labels == "arr_1":
        notes.append(f"{name}: arr_1 is taken for the labels of arr_0")
    used = {key for pair in chosen.values() for key in pair if key}
    unread = [key for low, key in keys.items() if low not in used]
    if unread:
        notes.append(f"{name}: not read are {printable(', '.join(unread))}")
    arrays = {
        split: tuple(content[keys[key]] if key else None for key in pair)
        for split, pair in chosen.items()
    }
    return arrays if held_out else {"all": arrays["train"]}


def _find_key(keys, wanted, name, needed=True) -> str | None:
    """The only one of `keys` that is `wanted`; None where none is and none is `needed`."""
    found = [key for key in keys if key in wanted]
    if len(found) == 1 or (not found and not needed):
        return found[0] if found else None
    listed = printable(", ".join(keys[key] for key in found or keys) or "no arrays")
    remedy = "keep one of them" if found else "name that of the pictures images"
    raise Refused(f"{name} holds {listed}; {remedy}.")


def _turned(images, name, notes) -> np.ndarray:
    """The array with its axes as (N, H, W), (N, H, W, 1) or (N, H, W, 3)."""
    shape = images.shape
    orders = {  # of the axes N, H, W and C, most usual first
        3: {"": (0, 1, 2)},
        4: {"": (0, 1, 2, 3), "channels first": (0, 2, 3, 1), "samples last": (3, 0, 1, 2),
            "channels first, samples last": (3, 1, 2, 0)},
    }.get(len(shape), {})  # fmt: skip
    if len(shape) == 3 and shape[0] == shape[1] != shape[2] and shape[2] > 3:
        orders = {"samples last": (2, 0, 1)}  # square pictures
    if len(shape) == 2:
        for order, (count, pixels) in (("", shape), ("samples last", shape[::-1])):
            side = math.isqrt(pixels)
            if count and side >= SMALLEST_SIDE and side * side == pixels:
                notes.append(f"{name}: {pixels} numbers are taken for {side}x{side} pixels, gray")
                return (images.T if order else images).reshape(count, side, side)
    for order, axes in orders.items():
        turned = images.transpose(axes)
        count, height, width, *channels = turned.shape
        if count and min(height, width) >= SMALLEST_SIDE and channels in ([], [1], [3]):
            if order:
                notes.append(f"{name}: shape {shape} is read as {order}, so {count} pictures")
            return turned
    raise Refused(
        f"{name} has images of shape {shape}; needed is (N, H, W), (N, H, W, 1) or (N, H, W, 3), N "
        f"at least 1, H and W at least {SMALLEST_SIDE}."
    )


def _as_pixels(images, name, notes) -> np.ndarray:
    """uint8: the array itself, or the values that its type and range tell how to scale."""
    kind = images.dtype.kind
    if images.dtype == np.uint8:
        return images
    if kind not in "biuf":
        raise Refused(f"{name} has images of {images.dtype}; save them as uint8 from 0 to 255.")
    low, high = float(images.min()), float(images.max())
    scale, shift = 1, 0
    if kind == "b" or (kind == "f" and low > -0.01 and high < 1.01):  # but for rounding
        scale, black = 255, 0
    elif kind == "f" and low > -1.01 and high < 1.01:
        scale, shift, black = 127.5, 1, -1
    elif not (low >= 0 and high <= 255):  # nan, too
        raise Refused(
            f"{name} has images of {images.dtype} with values from {low:g} to {high:g}; save them "
            "as uint8 from 0 to 255."
        )
    if scale != 1:
        notes.append(f"{name}: of its values {low:g} to {high:g}, {black} is black and 1 is white")
    pixels = np.empty(images.shape, np.uint8)
    for at in range(0, len(images), ROWS_AT_ONCE):
        part = images[at : at + ROWS_AT_ONCE].astype(np.float32)
        pixels[at : at + ROWS_AT_ONCE] = np.clip(np.round((part + shift) * scale), 0, 255)
    return pixels


def _as_labels(labels, images, name) -> np.ndarray:
    """Labels (N,): whole numbers or texts, one-hot rows by their place."""
    count = len(images)
    one_hot = labels.ndim == 2 and labels.shape[1] > 1 and np.isin(labels, (0, 1)).all()
    if one_hot and (labels.sum(axis=1) == 1).all():
        labels = labels.argmax(axis=1)
    if labels.dtype.kind == "f" and (labels == np.floor(labels)).all():
        labels = labels.astype(np.int64)
    if labels.size != count or max(labels.shape) != count or labels.dtype.kind not in "iubU":
        raise Refused(
            f"{name} has labels of shape {labels.shape} and type {labels.dtype} for {count} "
            f"images; needed are integers or texts of shape ({count},)."
        )
    if labels.dtype.kind == "i" and labels.min() < 0:
        raise Refused(f"{name} has the label {labels.min()}; number the classes from 0.")
    return labels.reshape(count)
