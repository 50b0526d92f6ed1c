"""Pictures as rows of a CSV file, or as one array in a NumPy file."""

import math

import numpy as np
import pandas as pd

from helpers.data.images import SMALLEST_SIDE
from helpers.notebook import Refused

IMAGE_KEYS = ("images", "x", "x_train", "train_images", "arr_0")
LABEL_KEYS = ("labels", "y", "y_train", "train_labels")
LABEL_COLUMNS = ("label", "class")
ROWS_AT_ONCE = 10_000  # a table of text is read in parts, for numbers take less memory


def read_csv(path) -> tuple[np.ndarray, np.ndarray | None]:
    """Pictures as rows of whole numbers from 0 to 255, as Kaggle publishes 28x28 sets.

    A header is optional. So is a column of labels: with a header the one named label or class,
    without one the first where one number more than a square stands in a row.

    Returns:
        Images uint8 (N, H, H, 1), and labels int64 (N,) or None.

    Raises:
        Refused: the table is something else; names the first row and column that are wrong,
            counted from 1, the header included.
    """
    name = path.name
    try:
        first = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False)
        fields = [field.strip().lower() for field in first.iloc[0]]
        numbers = pd.to_numeric(pd.Series(fields), errors="coerce")
        has_header = bool(set(fields) & set(LABEL_COLUMNS)) or bool(numbers.isna().all())
        label_column = _find_label(fields, has_header, name)
        side = math.isqrt(len(fields) - (label_column is not None))
        images, labels, row = [], [], 1 + has_header
        for part in pd.read_csv(
            path, header=None, skiprows=int(has_header), chunksize=ROWS_AT_ONCE, low_memory=False
        ):
            values = _whole_numbers(part, len(fields), label_column, row, name)
            if label_column is not None:
                labels.append(values[:, label_column])
                values = np.delete(values, label_column, axis=1)
            images.append(values.astype(np.uint8).reshape(-1, side, side, 1))
            row += len(part)
    except Refused:
        raise
    except ValueError as error:  # what pandas raises: ragged, empty, or no text in UTF-8
        reason = " ".join(str(error).split("C error: ")[-1].split())[:120].rstrip(".")
        raise Refused(
            f"{name} cannot be read as a table ({reason}); needed is a CSV in UTF-8 with one "
            "picture a row and the same number of columns in each."
        ) from error
    return np.concatenate(images), np.concatenate(labels) if labels else None


def _find_label(fields, has_header, name) -> int | None:
    """The column of the label, by the names and the number of the columns.

    Raises:
        Refused: two columns of labels, or no square number of pixels.
    """
    named = [column for column, field in enumerate(fields) if field in LABEL_COLUMNS]
    if len(named) > 1:
        raise Refused(f"{name} has two label columns; keep one of them.")
    if len(fields) == 1:
        raise Refused(f"{name} has one column; separate the numbers with commas.")
    if not has_header and not _is_square(len(fields)):
        named = [0]
    pixels = len(fields) - len(named)
    if not _is_square(pixels) or math.isqrt(pixels) < SMALLEST_SIDE:
        raise Refused(
            f"{name} has {pixels} pixels in a row, which is no square of at least {SMALLEST_SIDE} "
            f"times {SMALLEST_SIDE}; keep one column a pixel, gray, and name that of the labels "
            "'label'."
        )
    return named[0] if named else None


def _is_square(number) -> bool:
    return math.isqrt(number) ** 2 == number


def _whole_numbers(part, columns, label_column, row, name) -> np.ndarray:
    """Rows of a table as int64 (rows, columns); `row` is the number of the first.

    Raises:
        Refused: another number of columns, or a field that is no pixel or label.
    """
    if part.shape[1] != columns:
        raise Refused(
            f"{name} has {part.shape[1]} columns in row {row}, but {columns} in row 1; every row "
            "needs the same number."
        )
    values = part.apply(pd.to_numeric, errors="coerce").to_numpy(float)  # nan where no number
    most = np.full(columns, 255.0)
    if label_column is not None:
        most[label_column] = 2.0**53  # above, float64 has gaps
    wrong = ~((values >= 0) & (values <= most) & (values == np.floor(values)))
    if wrong.any():
        at, column = np.argwhere(wrong)[0]
        found = part.iat[at, column]
        found = "no number" if pd.isna(found) else repr(str(found)[:40])
        wanted = "a label is a whole number from 0"
        if column != label_column:
            wanted = "a pixel is a whole number from 0 to 255"
        raise Refused(f"{name} has {found} in row {row + at}, column {column + 1}; {wanted}.")
    return values.astype(np.int64)


def read_arrays(path) -> tuple[np.ndarray, np.ndarray | None]:
    """The array of pictures in an .npz, with labels or without, or in an .npy.

    Images lie in an .npz under one of IMAGE_KEYS, labels under one of LABEL_KEYS; capitals do not
    matter.

    Returns:
        Images uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3), those of an .npy mapped from the
        file; and labels (N,), integers or texts, or None.

    Raises:
        OSError: the file cannot be opened.
        Refused: the file or an array is something else; says what to do.
    """
    try:
        content = np.load(path, mmap_mode="r")
        if isinstance(content, np.ndarray):
            images, labels = content, None
        else:
            images_key = _find_key(content.files, IMAGE_KEYS, path.name)
            labels_key = _find_key(content.files, LABEL_KEYS, path.name, needed=False)
            images, labels = content[images_key], content[labels_key] if labels_key else None
    except (OSError, Refused):
        raise
    except Exception as error:  # NumPy and zipfile raise many kinds for a bad file
        raise Refused(
            f"{path.name} is truncated, or holds something else than arrays of numbers; save one "
            "array of uint8 with np.save or np.savez."
        ) from error
    _check_images(images, path.name)
    if labels is not None:
        kind, count = labels.dtype.kind, len(images)
        if labels.shape not in ((count,), (count, 1)) or kind not in "iubU":
            raise Refused(
                f"{path.name} has labels of shape {labels.shape} and type {labels.dtype} for "
                f"{count} images; needed are integers or texts of shape ({count},)."
            )
        if kind == "i" and labels.min() < 0:
            raise Refused(f"{path.name} has the label {labels.min()}; number the classes from 0.")
        labels = labels.reshape(count)
    return images, labels


def _find_key(keys, wanted, name, needed=True) -> str | None:
    """The only one of `keys` that is `wanted`; None where none is and none is `needed`."""
    found = [key for key in keys if key.lower() in wanted]
    if len(found) == 1 or (not found and not needed):
        return found[0] if found else None
    problem = "keep one of them" if found else f"one array must be named {' or '.join(wanted)}"
    listed = printable(", ".join(found or keys) or "no arrays")
    raise Refused(f"{name} holds {listed}; {problem}.")


def _check_images(images, name) -> None:
    """Say in one sentence why an array holds no pictures."""
    shape, needed = images.shape, "needed is (N, H, W), (N, H, W, 1) or (N, H, W, 3)"
    problem = f"{name} has images of shape {shape}"
    if len(shape) == 4 and shape[1] in (1, 3) and shape[3] not in (1, 3):
        raise Refused(f"{problem}, channels first; {needed}, so save np.moveaxis(images, 1, -1).")
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in (1, 3)):
        raise Refused(f"{problem}; {needed}.")
    if not images.size or min(shape[1:3]) < SMALLEST_SIDE:
        raise Refused(f"{problem}; {needed}, N at least 1, H and W at least {SMALLEST_SIDE}.")
    if images.dtype != np.uint8:
        values = ""
        if images.dtype.kind in "fiub":
            values = f" with values from {images.min()} to {images.max()}"
        raise Refused(
            f"{name} has images of {images.dtype}{values}; save them as uint8 from 0 to 255."
        )


def printable(name) -> str:
    """A name as it can be printed and saved: on one line, and the end of a very long one."""
    return "".join(c if c.isprintable() else "?" for c in str(name))[-80:]
