"""Files that are whole or not there: write under a temporary name, then rename."""

import csv
import hashlib
import json
import os
from contextlib import contextmanager, suppress
from pathlib import Path

import keras
import numpy as np

from helpers.environment import short


@contextmanager
def replacing(path):
    """Yield a temporary path beside `path`; rename it over `path` when the block succeeds.

    The earlier file, if any, stays whole whatever happens inside the block.

    Raises:
        OSError: the folder cannot be written or the disk is full; one sentence.
    """
    path = Path(path)
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        with open(partial, "rb+") as file:  # Windows flushes only what is open for writing
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise OSError(
            f"Could not save {short(path)} ({error.strerror or error}); an earlier file of that "
            "name is untouched. Free some space, or set DCGAN_RUNS to a folder you can write."
        ) from error
    finally:
        with suppress(OSError):  # where its folder does not exist, nothing was written
            partial.unlink(missing_ok=True)


def save_json(path, content) -> None:
    """Write `content` as indented JSON, atomically."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def save_table(path, rows) -> None:
    """Write a list of dictionaries with equal keys as CSV, atomically."""
    with replacing(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def load_table(path) -> dict[str, np.ndarray]:
    """Read a CSV of numbers: one float array of shape (rows,) per column.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it has no rows, or a field that is no number.
    """
    require_file(path)
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}
    except (ValueError, TypeError, IndexError) as error:
        raise ValueError(
            f"{short(path)} is damaged; run the notebook that writes it again."
        ) from error


def save_arrays(path, compressed=False, **arrays) -> None:
    """Write named arrays to one `.npz`, atomically."""
    with replacing(path) as partial:
        (np.savez_compressed if compressed else np.savez)(partial, **arrays)


def load_arrays(path) -> dict[str, np.ndarray]:
    """Read every array of an `.npz`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is truncated, damaged or no `.npz`.
    """
    require_file(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:  # zipfile, zlib and NumPy raise many kinds for a bad file
        raise ValueError(
            f"{short(path)} is damaged or is not an .npz file of this course; "
            "delete it and run the notebook that writes it again."
        ) from error


def save_model(model, path) -> None:
    """Write a Keras model to a `.keras` file, atomically."""
    with replacing(path) as partial:
        model.save(partial)


def load_model(path) -> keras.Model:
    """Read a `.keras` file in safe mode, uncompiled.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is truncated, foreign or holds something else than a Keras model.
    """
    require_file(path)
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises many kinds for a bad file
        raise ValueError(
            f"{short(path)} is not a model this Keras ({keras.__version__}) can read: it is "
            "truncated, foreign or from a newer version. Run the notebook that writes it again."
        ) from error


def require_file(path) -> None:
    """Say in one sentence that a file is not there.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"{short(path)} does not exist; run the notebook that writes it first."
        )


def sha256(path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
