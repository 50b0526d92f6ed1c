"""Pictures as rows of a CSV file, or as one array in a NumPy file."""

import csv
import math
from contextlib import suppress

import numpy as np

from helpers.data.collection import (
    SMALLEST_SIDE,
    Collection,
    fingerprint_of,
    require_source,
    shown,
    shown_path,
)

IMAGE_KEYS = ("images", "x", "x_train", "train_images", "arr_0")
LABEL_KEYS = ("labels", "y", "y_train", "train_labels")
_LABEL_COLUMNS = ("label", "class")
_BLOCK = 4_000_000  # characters of a CSV that are parsed at once
_RECIPES = {  # by the range floats lie in
    (0, 1): "np.uint8(np.round(x * 255))",
    (-1, 1): "np.uint8(np.round((x + 1) * 127.5))",
    (0, 255): "np.uint8(np.round(x))",
}


def read_csv(path) -> Collection:
    """Gray pictures as rows of whole numbers from 0 to 255, as Kaggle publishes 28x28 sets.

    A header is optional. So is a column of labels: with a header the one named label or class,
    without one the first where one number more than a square stands in a row. Blank lines are
    skipped. Labels become 0 to K-1 in the order of their values.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the table is something else; names the first line that is wrong.
    """
    path = require_source(path)
    name = shown_path(path)
    try:
        with open(path, encoding="utf-8-sig") as file:
            images, labels = _parse_csv(file, name)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{name} is not text in UTF-8; save the table as CSV with UTF-8 encoding."
        ) from error
    return _collection(images, fingerprint_of(path), labels)


def _parse_csv(file, name):
    """Images uint8 (N, H, W, 1), and labels float64 (N,) or None, of an open CSV."""
    number, first = 0, ""
    while not first.strip():
        number, first = number + 1, file.readline()
        if not first:
            raise ValueError(f"{name} is empty; give a CSV with one picture a line.")
    fields = _fields(first)
    named = [column for column, field in enumerate(fields) if field.lower() in _LABEL_COLUMNS]
    has_header = bool(named) or all(_number(field) is None for field in fields)
    label_column = _find_label(fields, named, has_header, name, number)
    side = math.isqrt(len(fields) - (label_column is not None))
    lines, numbers = ([], []) if has_header else ([first], [number])
    images, labels = [], []
    while True:
        for line in file.readlines(_BLOCK):
            number += 1
            if line.strip():
                lines.append(line)
                numbers.append(number)
        if not lines:
            break
        values = _parse_lines(lines, numbers, len(fields), label_column, name)
        if label_column is not None:
            labels.append(values[:, label_column])
            values = np.delete(values, label_column, axis=1)
        images.append(values.astype(np.uint8).reshape(-1, side, side, 1))
        lines, numbers = [], []
    if not images:
        raise ValueError(f"{name} has a header and no rows; give one picture a line.")
    return np.concatenate(images), np.concatenate(labels) if labels else None


def _find_label(fields, named, has_header, name, number):
    """The column of the label or None, by the names and the number of the columns.

    Raises:
        ValueError: two columns of labels, or no square number of pixels.
    """
    if len(named) > 1:
        raise ValueError(f"{name} has two label columns in line {number}; keep one of them.")
    if len(fields) == 1:
        raise ValueError(
            f"{name} has one column in line {number}; separate the numbers with commas, one "
            "picture a line."
        )
    label_column = named[0] if named else None
    if not has_header and not _is_square(len(fields)):
        label_column = 0
    pixels = len(fields) - (label_column is not None)
    side = math.isqrt(pixels)
    if not _is_square(pixels):
        for colours in (len(fields) - len(named), pixels):
            if colours % 3 == 0 and _is_square(colours // 3):
                side = math.isqrt(colours // 3)
                raise ValueError(
                    f"{name} has {colours} pixels in line {number}, as {side}x{side} in colour; a "
                    "CSV is read as gray only, so save colours as an .npz of uint8 "
                    f"(N, {side}, {side}, 3)."
                )
        raise ValueError(
            f"{name} has {len(fields) - len(named)} pixel columns in line {number}, which is no "
            "square such as 784; keep one column per pixel, and name that of the labels 'label'."
        )
    if side < SMALLEST_SIDE:
        raise ValueError(
            f"{name} has {pixels} pixels in line {number}, so {side}x{side}; needed are pictures "
            f"of at least {SMALLEST_SIDE}x{SMALLEST_SIDE}."
        )
    return label_column


def _parse_lines(lines, numbers, columns, label_column, name) -> np.ndarray:
    """Values float64 (lines, columns), fast; where that fails, slowly and with the reason."""
    with suppress(ValueError):
        values = np.loadtxt(lines, delimiter=",", comments=None, quotechar='"', ndmin=2)
        pixels = values if label_column is None else np.delete(values, label_column, axis=1)
        labels = values[:, :0] if label_column is None else values[:, label_column]
        if (
            values.shape == (len(lines), columns)
            and pixels.min() >= 0 and pixels.max() <= 255  # False for NaN
            and np.all(labels >= 0) and np.all(np.isfinite(labels))
            and np.array_equal(values, np.floor(values))
        ):  # fmt: skip
            return values
    return np.array([
        _parse_line(line, number, columns, label_column, name)
        for line, number in zip(lines, numbers)
    ])  # fmt: skip


def _parse_line(line, number, columns, label_column, name) -> list[float]:
    """The numbers of one line.

    Raises:
        ValueError: what is wrong with it.
    """
    fields = _fields(line)
    if len(fields) != columns:
        raise ValueError(
            f"{name} has {len(fields)} columns in line {number}, but {columns} before; every line "
            "needs the same number."
        )
    values = []
    for column, field in enumerate(fields):
        value, is_label = _number(field), column == label_column
        if value is None:
            problem = f"{shown(field, 40)!r} instead of a number"
        elif value < 0 or not value.is_integer() or (value > 255 and not is_label):
            problem = shown(field, 40)
        else:
            values.append(value)
            continue
        needed = "a label is a whole number from 0" if is_label else "a pixel is a whole 0 to 255"
        raise ValueError(
            f"{name} has {problem} in line {number}, column {column + 1}; {needed}, so mend it."
        )
    return values


def _fields(line) -> list[str]:
    try:
        return [field.strip() for field in next(csv.reader([line]))]
    except csv.Error:  # such as a field of more than 131072 characters
        return [field.strip() for field in line.split(",")]


def _number(text):
    """The finite number a field stands for, or None."""
    with suppress(ValueError):
        value = float(text)
        return value if math.isfinite(value) and "_" not in text else None


def _is_square(number) -> bool:
    return number > 0 and math.isqrt(number) ** 2 == number


def read_arrays(path) -> Collection:
    """The pictures of an .npz, optionally with labels, or of an .npy.

    Images are uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3), in an .npz under one of the names
    images, x, x_train, train_images or arr_0; labels are integers or texts (N,) under labels, y,
    y_train or train_labels. Capitals do not matter. An .npy is not loaded as a whole.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file or an array is something else; says what to do.
    """
    path = require_source(path)
    name = shown_path(path)
    try:
        content = np.load(path, mmap_mode="r" if path.suffix.lower() == ".npy" else None)
    except Exception as error:  # NumPy and zipfile raise many kinds for a bad file
        raise _refused(error, name) from error
    if isinstance(content, np.ndarray):
        _check_images(content, name)
        return _collection(content, fingerprint_of(path))
    with content:
        images_key = _find_key(content.files, IMAGE_KEYS, name)
        labels_key = _find_key(content.files, LABEL_KEYS, name, needed=False)
        try:
            images = content[images_key]
            labels = content[labels_key] if labels_key else None
        except Exception as error:
            raise _refused(error, name) from error
    _check_images(images, name)
    if labels is not None:
        labels = _check_labels(labels, len(images), name)
    return _collection(images, fingerprint_of(path), labels)


def _refused(error, name) -> ValueError:
    if "object" in str(error).lower():  # also what is not NumPy's at all counts as pickled
        return ValueError(
            f"{name} holds Python objects or is no NumPy file; save one array of uint8 with "
            "np.savez or np.save."
        )
    return ValueError(f"{name} is truncated or no NumPy file; copy it again or save it anew.")


def _find_key(keys, wanted, name, needed=True):
    """The only one of `keys` that is `wanted`; None where none is and none is `needed`.

    Raises:
        ValueError: several are, or none is.
    """
    found = [key for key in keys if key.lower() in wanted]
    if len(found) == 1 or (not found and not needed):
        return found[0] if found else None
    listed = shown(", ".join(found or keys) or "nothing")
    if found:
        raise ValueError(f"{name} holds {listed}, which is ambiguous; keep only one of them.")
    raise ValueError(f"{name} holds {listed}; needed is one array named {' or '.join(wanted)}.")


def _check_images(images, name) -> None:
    """Say in one sentence why an array holds no pictures.

    Raises:
        ValueError: another rank, order of the axes, size or dtype.
    """
    shape, needed = images.shape, "needed is (N, H, W), (N, H, W, 1) or (N, H, W, 3)"
    problem = f"{name} has images of shape {shown(shape)}"
    if len(shape) == 4 and shape[1] in (1, 3) and shape[3] not in (1, 3):
        raise ValueError(
            f"{problem}, channels first; {needed}, so save np.moveaxis(images, 1, -1)."
        )
    if len(shape) == 2:
        raise ValueError(f"{problem}; {needed}, so give every row its height and width by reshape.")
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in (1, 3)):
        raise ValueError(f"{problem}; {needed}.")
    if not images.size:
        raise ValueError(f"{problem}, so there are none; {needed} with N at least 1.")
    if min(shape[1:3]) < SMALLEST_SIDE:
        raise ValueError(
            f"{problem}, so of {shape[2]}x{shape[1]} pixels; {needed} with H and W at least "
            f"{SMALLEST_SIDE}."
        )
    if images.dtype == np.uint8:
        return
    problem = f"{name} has images of {images.dtype}"
    if images.dtype.kind not in "fiub":
        raise ValueError(f"{shown(problem, 200)}; save it as uint8 with values from 0 to 255.")
    low, high = float(images.min()), float(images.max())
    recipe = next(
        (f", so {how}" for (a, b), how in _RECIPES.items() if a <= low and high <= b), ""
    )  # fmt: skip
    raise ValueError(
        f"{problem} with values from {low:g} to {high:g}; save it as uint8 from 0 to 255{recipe}."
    )


def _check_labels(labels, count, name) -> np.ndarray:
    """Labels as one array of shape (count,).

    Raises:
        ValueError: another shape, number or dtype, or negative.
    """
    if labels.shape not in ((count,), (count, 1)):
        raise ValueError(
            f"{name} has labels of shape {shown(labels.shape)} for {count} images; needed is one "
            f"for each, so ({count},)."
        )
    if labels.dtype.kind not in "iubU":
        raise ValueError(f"{name} has labels of {shown(labels.dtype)}; save integers or texts.")
    if labels.dtype.kind == "i" and labels.min() < 0:
        raise ValueError(f"{name} has the label {labels.min()}; number the classes from 0.")
    return labels.reshape(count)


def _collection(images, fingerprint, labels=None) -> Collection:
    """Of images uint8 (N, H, W) or (N, H, W, 1 or 3), and labels of any values (N,)."""

    def read(index):
        pixels = np.array(images[index])
        return pixels if pixels.ndim == 3 else pixels[..., None]

    names = [f"row {number}" for number in range(1, len(images) + 1)]
    if labels is None:
        return Collection(names, read, fingerprint)
    values, labels = np.unique(labels, return_inverse=True)
    class_names = tuple(
        str(int(value)) if values.dtype.kind == "f" else str(value) for value in values
    )  # fmt: skip
    return Collection(names, read, fingerprint, labels.astype(np.int64), class_names)
