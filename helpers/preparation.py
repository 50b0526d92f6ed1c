"""From a source to prepared images and a dataset card in a run's folder."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from helpers.drive import fetch_run, open_drive, save_run
from helpers.environment import PROFILES, Profile, current_profile, runs_folder, short
from helpers.files import load_arrays, save_arrays, save_json
from helpers.sources import find_source, load_source


@dataclass(frozen=True)
class Run:
    """One learner's work on one data set: a name, a folder and the numbers of a profile."""

    name: str
    folder: Path
    dataset: str
    image_size: int
    profile: Profile
    archive: Path | None = None  # where SAVE_TO_DRIVE keeps a copy of the folder


@dataclass(frozen=True)
class PreparedImages:
    """Images uint8 (N, H, W, C), labels int64 (N,), and the dataset card (JSON content)."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    card: dict


def open_run(dataset: str, image_size: int = 28, name: str = "", save_to_drive: str = "") -> Run:
    """The run of that name, by default `<dataset>-<size>-<profile>`; makes no folder yet.

    Args:
        save_to_drive: a folder that keeps an archive of the run, or "". An archive that lies
            there already is fetched.

    Raises:
        ValueError: unknown data set, or the folder belongs to another data set, size or profile.
    """
    find_source(dataset)
    if image_size < 8:
        raise ValueError(f"IMAGE_SIZE is {image_size}; it is a width in pixels, at least 8.")
    profile = current_profile()
    name = name or f"{dataset}-{image_size}-{profile.name}"
    if Path(name).name != name or name == "..":
        raise ValueError(f"RUN_NAME is {name!r}; it names one folder, so it has no slash or dots.")
    drive = open_drive(save_to_drive)
    archive = drive / f"{name}.zip" if drive else None
    run = Run(name, runs_folder() / name, dataset, image_size, profile, archive)
    fetch_run(run)
    if _card_path(run).is_file():
        card = _read_card(run)
        wanted = (dataset, image_size, profile.name)
        found = (card["dataset"], card["image_shape"][0], card["profile"])
        if wanted != found:
            raise ValueError(
                f"{short(run.folder)} holds {found[0]} at {found[1]} pixels in profile {found[2]}, "
                f"not {wanted[0]} at {wanted[1]} pixels in profile {wanted[2]}; "
                "choose another RUN_NAME."
            )
    return run


def prepare(run: Run) -> PreparedImages:
    """Load the run's prepared images, or prepare and save them; says in one line which.

    Resized (bilinear, antialiased) to the run's size, cut to the profile's numbers with equal
    counts per class, written to `images.npz`, then described by `dataset.json`.
    """
    images_path = run.folder / "images.npz"
    if _card_path(run).is_file() and images_path.is_file():
        card, arrays = _read_card(run), load_arrays(images_path)
        if set(arrays) != {f"{s}_{p}" for s in ("train", "test") for p in ("images", "labels")}:
            raise ValueError(
                f"{short(images_path)} holds other arrays; delete it and run notebook 2 again."
            )
        print(f"Images: yours, from {short(images_path)}.")
        return PreparedImages(**arrays, card=card)
    arrays, place = load_source(run.dataset, whole=run.profile == PROFILES["full"])
    for split, count in (("train", run.profile.train_images), ("test", run.profile.test_images)):
        keep = _balanced(arrays[f"{split}_labels"], count)
        arrays[f"{split}_images"] = resize(arrays[f"{split}_images"][keep], run.image_size)
        arrays[f"{split}_labels"] = arrays[f"{split}_labels"][keep]
    card = _make_card(run, arrays, place)
    save_arrays(images_path, **arrays)
    save_json(_card_path(run), card)  # last: a card stands for a whole preparation
    print(f"Images: made now from {place}, saved as {short(images_path)}.")
    save_run(run)
    return PreparedImages(**arrays, card=card)


def resize(images, size: int) -> np.ndarray:
    """Resize square images to `size` pixels, bilinear with antialiasing.

    Args:
        images: uint8 (N, H, W, C).

    Returns:
        uint8 (N, size, size, C); the input itself where it has that size.

    Raises:
        ValueError: not uint8, or not of that rank.
    """
    check_images(images)
    if images.shape[1:3] == (size, size):
        return images
    blocks = [
        tf.image.resize(images[start : start + 2000], (size, size), antialias=True)
        for start in range(0, len(images), 2000)
    ]
    return np.concatenate([np.uint8(np.clip(np.round(block), 0, 255)) for block in blocks])


def check_images(images) -> None:
    """Say in one sentence what is wrong with an image array on its way into the course.

    Raises:
        ValueError: not a uint8 array of shape (N, H, W, 1) or (N, H, W, 3) with N at least 1.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8:
        raise ValueError(
            f"Images are {images.dtype} with values from {images.min():g} to {images.max():g}; "
            "needed is uint8 in [0, 255]."
        )
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or not len(images):
        raise ValueError(
            f"Images have shape {images.shape}; needed is (N, height, width, 1 or 3), N at least 1."
        )


def _balanced(labels, count) -> np.ndarray:
    """Indices of the first images of each class, `count` in all as equally as it goes."""
    if count is None or count >= len(labels):
        return np.arange(len(labels))
    ranks = np.empty(len(labels), int)  # an image's number within its class
    for label in np.unique(labels):
        ranks[labels == label] = np.arange(np.sum(labels == label))
    return np.sort(np.argsort(ranks, kind="stable")[:count])


def _make_card(run, arrays, place) -> dict:
    source = find_source(run.dataset)
    names = source.class_names
    counts = {
        split: np.bincount(arrays[f"{split}_labels"], minlength=len(names)).tolist()
        for split in ("train", "test")
    }
    return {
        "dataset": run.dataset,
        "title": source.title,
        "source": source.url,
        "licence": source.licence,
        "shows_people": source.shows_people,
        "read_from": place,
        "profile": run.profile.name,
        "image_shape": list(arrays["train_images"].shape[1:]),
        "train_images": len(arrays["train_images"]),
        "test_images": len(arrays["test_images"]),
        "class_names": list(names),
        "class_counts": counts,
    }


def _card_path(run):
    return run.folder / "dataset.json"


def _read_card(run) -> dict:
    try:
        card = json.loads(_card_path(run).read_text(encoding="utf-8"))
        card["dataset"], card["image_shape"][0], card["profile"]  # what open_run compares
        return card
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ValueError(
            f"{short(_card_path(run))} is damaged; delete it and run notebook 2 again."
        ) from error
