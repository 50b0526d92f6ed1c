"""Pictures as rows of a CSV file."""

import math
import re

import numpy as np
import pandas as pd

from helpers.data.images import SMALLEST_SIDE
from helpers.refused import Refused

LABELS = ("label", "labels", "class", "target", "category", "emotion", "digit", "y")
INDICES = ("", "unnamed: 0", "index", "id")
SPLITS = ("usage", "split", "set")  # which rows are for training
TRAINING = ("train", "training", "trainset")  # words for a part of a split
PIXEL_NAME = re.compile(r"[a-z_ ]*\d+([x_]\d+)?")  # "pixel17", "17", "3x5"
PICTURE_PATH = re.compile(r"(?i)\.(jpe?g|png|webp|bmp|gif|tiff?)$")
ROWS_AT_ONCE = 10_000  # a table of text is read in parts, for numbers take less memory


def read_csv(path) -> tuple[dict, list[str]]:
    """Pictures as rows of whole numbers from 0 to 255, as Kaggle publishes 28x28 sets.

    A row has one column a pixel, or a column `pixels` of numbers between blanks, as in FER2013. A
    header is optional, and so are columns of labels, of row numbers and of what a row is used for;
    without a header, the values of the first and the last columns tell.

    Returns:
        Images uint8 (N, H, H, 1) and labels int64 (N,) or None, under `all`, or under `train` and
        `held_out`; and sentences about what could be read in another way.

    Raises:
        Refused: the table is something else; names the first row and column that are wrong,
            counted from 1, the header included.
    """
    name = path.name
    try:
        first = _rows(path, nrows=1)
        fields = [field.strip().lower() for field in first.iloc[0]]
        header = _is_header(fields)
        choose = _columns_by_name if header else _columns_by_values
        columns, notes = choose(path, fields)
        images, labels, uses, row = [], [], [], 1 + header
        for part in pd.read_csv(
            path, header=None, skiprows=int(header), chunksize=ROWS_AT_ONCE, low_memory=False
        ):
            if part.shape[1] != len(fields):
                raise Refused(
                    f"{name} has {part.shape[1]} columns in row {row}, but {len(fields)} in row 1; "
                    "every row needs the same number."
                )
            images.append(_pictures(part, columns["pixels"], row, name))
            if columns["label"] is not None:
                labels.append(_whole_numbers(part, [columns["label"]], 2**53, row, name)[:, 0])
            if columns["split"] is not None:
                uses += part[columns["split"]].astype(str).str.strip().str.lower().tolist()
            row += len(part)
        images = np.concatenate(images)
    except Refused:
        raise
    except ValueError as error:  # what pandas raises: ragged, empty, or no text in UTF-8
        reason = " ".join(str(error).split("C error: ")[-1].split())[:120].rstrip(".")
        raise Refused(
            f"{name} cannot be read as a table ({reason}); needed is a CSV in UTF-8 with one "
            "picture a row and the same number of columns in each."
        ) from error
    labels = np.concatenate(labels) if labels else None
    train = np.isin(uses, TRAINING)
    if not train.any() or train.all():
        return {"all": (images, labels)}, notes
    notes.append(
        f"{name}: rows of use {' or '.join(TRAINING)} are trained on, all others are held out"
    )
    parts = {"train": train, "held_out": ~train}
    return {
        split: (images[rows], None if labels is None else labels[rows])
        for split, rows in parts.items()
    }, notes


def _rows(path, **options):
    return pd.read_csv(path, header=None, dtype=str, keep_default_na=False, **options)


def _is_header(fields) -> bool:
    """Whether the first row names the columns: by words, or by numbers that count them."""
    numbers = pd.to_numeric(pd.Series(fields), errors="coerce").dropna()
    counted = len(numbers) > 7 and (np.diff(numbers) == 1).all()
    return bool(set(fields) & set(LABELS) or counted or numbers.empty)


def _columns_by_name(path, fields):
    """Which columns of a table with a header hold what, and sentences about it."""
    name, notes = path.name, []
    labels = [column for column, field in enumerate(fields) if field in LABELS]
    if len(labels) > 1:
        raise Refused(f"{name} has two label columns; keep one of them.")
    splits = [column for column, field in enumerate(fields) if field in SPLITS]
    columns = {"label": labels[0] if labels else None, "split": splits[0] if splits else None}
    if "pixels" in fields:
        return columns | {"pixels": fields.index("pixels")}, notes
    spare = {*labels, *splits}
    pixels = [column for column in range(len(fields)) if column not in spare]
    if not _is_picture(len(pixels)):  # then what has another name than pixels have is none
        named = [column for column in pixels if PIXEL_NAME.fullmatch(fields[column])]
        others = sorted({*pixels} - {*named})
        if not _is_picture(len(named)):
            _refuse_columns(path, len(pixels), len(fields))
        unread = [column for column in others if fields[column] in INDICES]
        rest = [column for column in others if column not in unread]
        if len(rest) == 1 and columns["label"] is None:
            columns["label"] = rest[0]
            notes.append(f"{name}: column {fields[rest[0]]!r} is taken for the label")
        elif rest:
            unread = others
        if unread:
            words = ", ".join(repr(fields[column]) for column in unread)
            notes.append(f"{name}: not read, as no pixels, are the columns {words}")
        pixels = named
    return columns | {"pixels": pixels}, notes


def _columns_by_values(path, fields):
    """Likewise without a header: by what the first two columns and the last hold."""
    name, count = path.name, len(fields)
    columns = {"label": None, "split": None, "pixels": list(range(count))}
    if _is_picture(count):
        return columns, []
    if not _is_picture(count - 1) and not _is_picture(count - 2):
        _refuse_columns(path, count - 1, count)
    values = _rows(path, usecols=[0, 1, count - 1]).apply(pd.to_numeric, errors="coerce")
    row_numbers = len(values) > 1 and (np.diff(values[0]) == 1).all() and values[0][0] in (0, 1)
    notes, spare = [], []
    if row_numbers:
        spare = [0]
        notes.append(f"{name}: the first column counts the rows, so it is not read")
    if not row_numbers or not _is_picture(count - 1):
        ends = [len(spare), count - 1]
        kinds = [values[end].nunique() for end in ends]
        alike = [1 < kind <= max(2, len(values) / 2) for kind in kinds]  # some rows share a label
        last = alike == [False, True] or (alike == [True, True] and kinds[1] < kinds[0])
        columns["label"] = ends[last]
        place, other = ("last", "first") if last else ("first", "last")
        notes.append(
            f"{name}: the {place} column is taken for the label; if it is the {other} one, name "
            "that 'label' in a header"
        )
        spare.append(ends[last])
    columns["pixels"] = [column for column in range(count) if column not in spare]
    if not _is_picture(len(columns["pixels"])):
        _refuse_columns(path, count - 1, count)
    return columns, notes


def _is_picture(pixels) -> bool:
    return pixels >= SMALLEST_SIDE**2 and math.isqrt(pixels) ** 2 == pixels


def _refuse_columns(path, pixels, columns):
    """Say in one sentence why a table with so many columns holds no pictures."""
    name = path.name
    if columns == 1:
        raise Refused(f"{name} has one column; separate the numbers with commas.")
    for row in _rows(path, nrows=2).itertuples(index=False):
        if found := [value for value in row if PICTURE_PATH.search(value)]:
            raise Refused(
                f"{name} holds names of picture files such as {found[0][-40:]!r}, not pixels; set "
                "DATASET to the folder of the pictures, and put this table into it for the labels."
            )
    raise Refused(
        f"{name} has {pixels} pixels in a row, which is no square of at least {SMALLEST_SIDE} "
        f"times {SMALLEST_SIDE}; keep one column a pixel, gray, and name that of the labels "
        "'label'."
    )


def _pictures(part, pixels, row, name) -> np.ndarray:
    """Rows of a table as pictures uint8 (rows, H, H, 1); `row` is the number of the first."""
    if isinstance(pixels, int):  # of text
        texts = part[pixels].astype(str).str.split()
        side = math.isqrt(len(texts.iloc[0]))
        wrong = texts.str.len() != side**2
        if side < SMALLEST_SIDE or wrong.any():
            at = int(wrong.argmax())
            raise Refused(
                f"{name} has {len(texts.iloc[at])} numbers in the column 'pixels' of row "
                f"{row + at}; needed is a square, at least {SMALLEST_SIDE} times {SMALLEST_SIDE}, "
                "the same in every row."
            )
        part = pd.DataFrame(texts.tolist(), index=part.index)
        pixels = list(range(side**2))
    side = math.isqrt(len(pixels))
    values = _whole_numbers(part, pixels, 255, row, name)
    return values.astype(np.uint8).reshape(-1, side, side, 1)


def _whole_numbers(part, columns, most, row, name) -> np.ndarray:
    """Columns of a table as int64; refuses what is no whole number from 0 to `most`."""
    fields = part[columns]
    values = fields.apply(pd.to_numeric, errors="coerce").to_numpy(float)  # nan where no number
    wrong = ~((values >= 0) & (values <= most) & (values == np.floor(values)))
    if wrong.any():
        at, column = np.argwhere(wrong)[0]
        found = fields.iat[at, column]
        found = "no number" if pd.isna(found) else repr(str(found)[:40])
        wanted = "a pixel is a whole number from 0 to 255"
        if most > 255:
            wanted = "a label is a whole number from 0"
        raise Refused(
            f"{name} has {found} in row {row + at}, column {columns[column] + 1}; {wanted}."
        )
    return values.astype(np.int64)
