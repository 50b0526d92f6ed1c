"""Files that are whole or not there: write under a temporary name, then rename."""

import csv
import hashlib
import json
import math
import os
import zipfile
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


def load_json(path):
    """Read what `save_json` has written.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not JSON.
    """
    require_file(path)
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{short(path)} is damaged; run the notebook that writes it again."
        ) from error


def save_table(path, rows) -> None:
    """Write a list of dictionaries as CSV, atomically; None, and what a row lacks, is empty."""
    names = dict.fromkeys(name for row in rows for name in row)
    with replacing(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(names))
        writer.writeheader()
        writer.writerows(rows)


def load_table(path) -> dict[str, np.ndarray]:
    """Read a CSV of numbers: one float array of shape (rows,) per column; empty fields are nan.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it has no rows, or a field that is no number.
    """
    require_file(path)
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return {
            name: np.array([math.nan if row[name] == "" else float(row[name]) for row in rows])
            for name in rows[0]
        }
    except (ValueError, TypeError, IndexError) as error:
        raise ValueError(
            f"{short(path)} is damaged; run the notebook that writes it again."
        ) from error


def save_arrays(path, compressed=False, **arrays) -> None:
    """Write named arrays to one `.npz`, atomically."""
    with replacing(path) as partial:
        (np.savez_compressed if compressed else np.savez)(partial, **arrays)


def load_arrays(path, in_memory: int | None = None) -> dict[str, np.ndarray]:
    """Read every array of an `.npz`.

    Args:
        in_memory: arrays of more bytes than that stay in the file and are mapped into memory,
            read-only; None reads all of them. Only `.npz` files that are not compressed can be
            mapped.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is truncated, damaged or no `.npz`.
    """
    require_file(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {}
            for name in file.files:
                entry = file.zip.getinfo(f"{name}.npy")
                mapped = in_memory is not None and entry.file_size > in_memory
                arrays[name] = _map_array(path, file.zip, entry) if mapped else file[name]
            return arrays
    except (MemoryError, PermissionError):
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise many kinds for a bad file
        raise ValueError(
            f"{short(path)} is damaged or is not an .npz file of this course; "
            "delete it and run the notebook that writes it again."
        ) from error


def _map_array(path, file, entry) -> np.memmap:
    """One array of an uncompressed `.npz`, as a view of the file."""
    with file.open(entry) as content:
        version = np.lib.format.read_magic(content)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran_order, dtype = read_header(content)
        header = content.tell()
    if entry.compress_type != zipfile.ZIP_STORED or fortran_order or dtype.hasobject:
        raise ValueError("cannot be mapped")
    with open(path, "rb") as raw:  # the lengths of name and extra field stand in the local header
        raw.seek(entry.header_offset + 26)
        name, extra = (int.from_bytes(raw.read(2), "little") for _ in range(2))
    start = entry.header_offset + 30 + name + extra + header
    return np.memmap(path, dtype, "r", offset=start, shape=shape)


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
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
