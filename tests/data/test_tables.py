"""Tables of pixels and arrays of pictures, right and wrong."""

import numpy as np
import pytest
from pictures import noise, opened, refused

from helpers.data.tables import ROWS_AT_ONCE

PIXELS = noise(5, 8, 1)
LABELS = np.array([7, 3, 3, 12, 7])
NAMES = [f"pixel{number}" for number in range(1, 65)]


def write_csv(path, rows, header=None, quote="", ending="\n", bom=""):
    rows = [header, *rows] if header else rows
    lines = [",".join(f"{quote}{value}{quote}" for value in row) for row in rows]
    path.write_bytes((bom + ending.join([*lines, ""])).encode())
    return path


@pytest.mark.parametrize("layout", ["Label first", "class last", "header", "plain", "label only"])
def test_csv(layout, tmp_path):
    rows, header = PIXELS.reshape(5, 64).tolist(), NAMES if layout == "header" else None
    if layout in ("Label first", "label only"):
        rows = [[label, *row] for label, row in zip(LABELS, rows)]
        header = ["Label", *NAMES] if layout == "Label first" else None
    elif layout == "class last":
        rows, header = [[*row, label] for label, row in zip(LABELS, rows)], [*NAMES, "class"]
    for style in ({}, {"quote": '"', "ending": "\r\n\r\n", "bom": "\ufeff"}):
        found = opened(write_csv(tmp_path / "a.csv", rows, header, **style))
        for index, image in enumerate(PIXELS):
            np.testing.assert_array_equal(found.read(index), image)
        if layout in ("plain", "header"):
            assert found.labels is None and found.class_names == ()
        else:
            assert found.labels.tolist() == [1, 0, 0, 2, 1]
            assert found.class_names == ("3", "7", "12")


def test_a_long_csv_is_whole_and_names_the_row_that_is_wrong(tmp_path):
    rows = np.tile(PIXELS.reshape(5, 64), (ROWS_AT_ONCE // 5 + 1, 1)).tolist()
    found = opened(write_csv(tmp_path / "a.csv", rows))
    assert len(found.names) == len(rows)
    np.testing.assert_array_equal(found.read(len(rows) - 1), PIXELS[4])
    rows[ROWS_AT_ONCE + 2][1] = 256
    path = write_csv(tmp_path / "a.csv", rows, NAMES)
    refused(lambda: opened(path), f"'256' in row {ROWS_AT_ONCE + 4}, column 2")


ZERO, LABELLED = [0] * 64, ["label", *NAMES]


@pytest.mark.parametrize(
    ("rows", "header", "parts"),
    [
        ([ZERO, ["x", *ZERO[1:]]], None, ["a.csv has 'x' in row 2, column 1", "0 to 255"]),
        ([ZERO, [*ZERO[1:], ""]], None, ["no number in row 2, column 64"]),
        ([ZERO, [*ZERO, 1]], None, ["Expected 64 fields in line 2, saw 65"]),
        ([ZERO], LABELLED, ["64 columns in row 2, but 65 in row 1"]),
        ([[-1, *ZERO[1:]]], None, ["'-1' in row 1, column 1"]),
        ([ZERO, [0.5, *ZERO[1:]]], None, ["'0.5' in row 2, column 1"]),
        ([[1, *ZERO], ["inf", *ZERO]], None, ["'inf' in row 2, column 1; a label is"]),
        ([["cat", *ZERO]], LABELLED, ["'cat' in row 2, column 1; a label is"]),
        ([[1, 300, *ZERO[1:]]], LABELLED, ["'300' in row 2, column 2; a pixel is"]),
        ([[1, *ZERO, 1]], [*LABELLED, "class"], ["two label columns"]),
        ([[0] * 67], None, ["66 pixels in a row", "no square"]),
        ([["1;2;3"]], None, ["one column", "commas"]),
        ([], LABELLED, ["cannot be read as a table", "one picture a row"]),
        ([], None, ["cannot be read as a table"]),
    ],
)
def test_a_csv_that_is_wrong_is_refused_in_a_sentence(rows, header, parts, tmp_path):
    path = write_csv(tmp_path / "a.csv", rows, header)
    refused(lambda: opened(path), "a.csv", *parts)


def test_a_csv_that_is_no_text(tmp_path):
    for content in ("1,2\n".encode("utf-16"), b"\x89PNG\r\n\xff\xfe"):
        (tmp_path / "a.csv").write_bytes(content)
        refused(lambda: opened(tmp_path / "a.csv"), "a.csv cannot be read", "UTF-8")


@pytest.mark.parametrize("ending", [".npy", ".npz"])
@pytest.mark.parametrize("shape", [(5, 9, 8), (5, 9, 8, 3)])
def test_arrays(ending, shape, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path / f"a{ending}"
    (np.save if ending == ".npy" else np.savez)(path, images)  # the latter as arr_0
    found = opened(path)
    assert len(found.names) == 5 and found.labels is None
    for index in range(5):
        np.testing.assert_array_equal(found.read(index), images[index].reshape(9, 8, -1))
        found.read(index)[:] = 0  # a copy
        np.testing.assert_array_equal(found.read(index), images[index].reshape(9, 8, -1))


@pytest.mark.parametrize("keys", [("images", "labels"), ("X_train", "y_train"), ("x", "y")])
def test_npz_with_labels(keys, tmp_path):
    for labels, names in (
        (np.array([[4], [2], [4]], np.uint8), ("2", "4")),
        (np.array(["b", "a", "b"]), ("a", "b")),
    ):
        np.savez(tmp_path / "a.npz", **{keys[0]: PIXELS[:3], keys[1]: labels, "other": labels})
        found = opened(tmp_path / "a.npz")
        assert found.labels.tolist() == [1, 0, 1] and found.class_names == names


GRAY = np.zeros((3, 8, 8), np.uint8)


@pytest.mark.parametrize(
    ("arrays", "parts"),
    [
        ({"images": GRAY + 255.5}, ["float64", "from 255.5 to 255.5", "uint8 from 0 to 255"]),
        ({"images": GRAY + np.nan}, ["float64", "from nan to nan", "uint8 from 0 to 255"]),
        ({"x": GRAY.astype(int) - 7}, ["int64", "from -7 to -7"]),
        ({"x": GRAY.astype(str)}, ["<U3", "uint8"]),
        ({"a": GRAY, "b": GRAY}, ["holds a, b", "name that of the pictures images"]),
        ({"x": GRAY, "images": GRAY}, ["holds x, images", "keep one"]),
        ({"x": GRAY, "y": [1, 2]}, ["labels of shape (2,)", "3 images"]),
        ({"x": GRAY, "y": np.ones((3, 3))}, ["labels of shape (3, 3)"]),
        ({"x": GRAY, "y": [0, -1, 2]}, ["label -1", "from 0"]),
        ({"x": np.array([{}], object)}, ["something else than arrays of numbers"]),
        ({"x": np.zeros((2, 4, 8, 8), np.uint8)}, ["(2, 4, 8, 8)", "(N, H, W)"]),
        ({"x": np.zeros((2, 785), np.uint8)}, ["(2, 785)", "(N, H, W)"]),
        ({"x": np.zeros((64, 64, 3), np.uint8)}, ["(64, 64, 3)", "H and W at least 8"]),
        ({"x": GRAY[:0]}, ["(0, 8, 8)", "N at least 1"]),
    ],
)
def test_arrays_that_are_no_pictures(arrays, parts, tmp_path):
    np.savez(tmp_path / "a.npz", **arrays)
    refused(lambda: opened(tmp_path / "a.npz"), "a.npz", *parts)


@pytest.mark.parametrize("name", ["a.npz", "a.npy"])
def test_damaged_arrays(name, tmp_path):
    path = tmp_path / name
    (np.save if name == "a.npy" else np.savez)(path, noise(3, 16, 1))
    for content in (path.read_bytes()[:500], b"", b"text\n" * 99):
        path.write_bytes(content)
        refused(lambda: opened(path), f"{name} is truncated, or holds something else")
