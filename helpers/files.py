"""Files that are whole or not there: write under a temporary name, then rename."""

import hashlib
import json
import os
import re
from contextlib import contextmanager, suppress
from pathlib import Path

import keras
import pandas as pd

from helpers.machine import short
from helpers.refused import Refused


@contextmanager
def atomic_write(path):
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
    with atomic_write(path) as partial:
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
    with atomic_write(path) as partial:
        pd.DataFrame(rows).to_csv(partial, index=False)


def load_table(path) -> pd.DataFrame:
    """Read a CSV of numbers, float64 in every column; empty fields are nan.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no table, or has a field that is no number.
    """
    require_file(path)
    try:
        return pd.read_csv(path, dtype=str).astype(float)  # exactly, in every pandas
    except ValueError as error:
        raise ValueError(
            f"{short(path)} is damaged; run the notebook that writes it again."
        ) from error


def save_model(model, path) -> None:
    """Write a Keras model to a `.keras` file, atomically."""
    with atomic_write(path) as partial:
        model.save(partial)


def load_model(path) -> keras.Model:
    """Read a `.keras` file in safe mode, uncompiled.

    Raises:
        FileNotFoundError: there is no such file.
        Refused: the file is truncated, foreign, holds something else than a Keras model, or one
            with a layer that Keras does not know.
    """
    require_file(path)
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises many kinds for a bad file
        reason = " ".join(str(error).split())
        unknown = re.search(r"Could not locate (?:class|function) '(\w+)'", reason)
        if unknown:
            raise Refused(
                f"{short(path)} has a layer of your own, {unknown[1]}, that Keras does not know "
                "here; put its class, under @keras.saving.register_keras_serializable(), into a "
                "cell before this one, in lessons 3, 4 and 5."
            ) from error
        raise Refused(
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
