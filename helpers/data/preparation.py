"""From a source to prepared images and a dataset card in a run's folder."""

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np

from helpers.data.collection import parse_background
from helpers.data.images import conform
from helpers.data.own_files import UnreadablePicture, fingerprint
from helpers.data.sources import (
    SOURCES,
    Stream,
    find_path,
    find_source,
    is_known,
    open_source,
    slug,
)
from helpers.drive import MOUNT_POINT, fetch_run, open_drive, save_run
from helpers.files import atomic_write, load_arrays, save_json
from helpers.machine import PROFILES, current_profile, hosting, runs_folder, short
from helpers.run import Run, checkpoint_files

SPLITS = ("train", "test")
IN_MEMORY = 500_000_000  # bytes; larger arrays stay in their file
BLOCK = 256  # pictures decoded at a time
HELD_OUT = 10  # one picture in so many, where nobody has divided the set
PARTIAL = ".partial"  # how folders of pictures begin that are still being read


@dataclass(frozen=True)
class PreparedImages:
    """Images uint8 (N, H, W, C), labels int64 (N,), and the dataset card (JSON content)."""

    train_images: np.ndarray
    train_labels: np.ndarray
    held_out_images: np.ndarray
    held_out_labels: np.ndarray
    card: dict


def open_run(
    dataset: str,
    image_size: int = 0,
    name: str = "",
    save_to_drive: str = "",
    channels: int = 0,
) -> Run:
    """The run of that name; makes no folder yet.

    By default the name is `<dataset>-<size>-<profile>`, or `<dataset>-<profile>` where the size is
    0 and the images have to be opened to know it.

    Args:
        dataset: as for `open_source`.
        image_size: pixels a side; 0 takes the set's own, or the next usual one up.
        save_to_drive: a folder that keeps archives of the run, or "". The newest that lies there
            already is fetched.
        channels: 1 for gray, 3 for colour, 0 for what the images have.

    Raises:
        ValueError: unknown data set or size, or the folder belongs to another data set, size,
            number of channels or profile.
    """
    if image_size and image_size < 8:
        raise ValueError(f"IMAGE_SIZE is {image_size}; it is a width in pixels, at least 8, or 0.")
    if channels not in (0, 1, 3):
        raise ValueError(f"CHANNELS is {channels}; it is 1 for gray, 3 for colour or 0 for either.")
    if is_known(dataset):
        image_size = image_size or SOURCES[dataset].size
        channels = channels or SOURCES[dataset].channels
    profile = current_profile()
    parts = [slug(dataset), str(image_size), profile.name]
    name = name or "-".join(part for part in parts if part != "0")
    if not re.fullmatch(r"\w[\w .+=-]{0,99}", name):
        raise ValueError(
            f"RUN_NAME is {name[:120]!r}; it names one folder: up to 100 letters, digits, spaces "
            "and . _ - + =, the first a letter or digit."
        )
    if hosting() == "Colab" and dataset.startswith(MOUNT_POINT):
        open_drive(MOUNT_POINT)  # so that the pictures are there
    drive = open_drive(save_to_drive)
    run = Run(name, runs_folder() / name, dataset, image_size, channels, profile, drive)
    fetch_run(run)
    if _card_path(run).is_file():
        _require_same(run, _read_card(run))
    elif not is_known(dataset) and not dataset.startswith("tfds:") and not find_path(dataset):
        find_source(dataset)  # raises, and names what there is
    return run


def _require_same(run, card):
    """Refuse a folder that holds other images than the run asks for."""
    size, _, channels = card["image_shape"]
    kinds = {1: "gray", 3: "in colour"}
    found = [_identity(card["dataset"]), size, card["profile"], kinds[channels]]
    wanted = [_identity(run.dataset), run.image_size or size, run.profile.name]
    wanted.append(kinds[run.channels or channels])
    if wanted != found:
        text = "{} at {} pixels in profile {}, {}"
        raise ValueError(
            f"{short(run.folder)} holds {text.format(*found)}, not {text.format(*wanted)}; "
            "choose another RUN_NAME."
        )


def _identity(dataset) -> str:
    """What is compared: a known name as it is, of a file its name, for it may have moved."""
    named = is_known(dataset) or dataset.startswith("tfds:")
    return dataset if named else f"your files {slug(dataset)}"


def prepare(run: Run, background: str = "") -> PreparedImages:
    """Load the run's prepared images, or prepare and save them; says in one line which.

    Every picture is cropped to its central square, resized (bilinear, antialiased), and cut or
    widened to the run's channels. Where nobody has divided the set, one picture in ten is held
    out, chosen by the hash of its pixels, so that equal pictures stay on one side. The numbers are
    cut to the profile's, with equal counts per class where there are labels. Images go to
    `images.npz`, then `dataset.json` describes them; both are whole or not there.

    Args:
        background: a colour that Pillow knows, laid under transparent pictures; "" takes what the
            prepared images have, or white.

    Raises:
        ValueError: the source cannot be used, or its files or the background have changed since
            they were prepared and trained on; one sentence.
    """
    images_path = run.folder / "images.npz"
    if _card_path(run).is_file():
        card = _read_card(run)
        change = _change(run, card, background)
        if images_path.is_file() and not change:
            print(f"Images: yours, from {short(images_path)}.")
            return _load(images_path, card)
        if change and checkpoint_files(run.folder):
            raise ValueError(
                f"{change} since {short(run.folder)} was prepared and trained; choose another "
                "RUN_NAME, or move your files away to go on with the prepared ones."
            )
        if change:
            print(f"{change} since they were prepared.")
        background = background or card["background"]
    background = background or "white"
    source = open_source(run.dataset, run.profile == PROFILES["full"], background)
    size, channels = run.image_size or source.size, run.channels or source.channels
    run.folder.mkdir(parents=True, exist_ok=True)
    for left in run.folder.glob(f"{PARTIAL}*"):  # by a preparation that was killed
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=run.folder, prefix=PARTIAL) as folder:
        try:
            made = _read_pictures(source, run.profile, size, channels, Path(folder))
        except OSError as error:
            raise OSError(
                f"Could not prepare {source.about.title} ({error.strerror or error}). Free some "
                "space, or set DCGAN_RUNS to a folder you can write."
            ) from error
        if not len(made.labels["train"]) or not len(made.labels["test"]):
            raise ValueError(
                f"{source.about.title} gives {len(made.labels['train'])} pictures to train on and "
                f"{len(made.labels['test'])} to hold out; both must be at least 1: add pictures."
            )
        _card_path(run).unlink(missing_ok=True)
        _pack_arrays(images_path, made, (size, size, channels))
    card = _make_card(run, source, made, (size, size, channels), background)
    save_json(_card_path(run), card)  # last: a card stands for a whole preparation
    print(f"Images: made now from {source.read_from}, saved as {short(images_path)}.")
    _warn(card)
    save_run(run)
    return _load(images_path, card)


def _change(run, card, background) -> str:
    """What is not as it was when the card was written, as far as can be seen here; or ""."""
    path = None if is_known(run.dataset) else find_path(run.dataset)
    if path is None or not card["fingerprint"]:
        return ""
    if background and parse_background(background) != parse_background(card["background"]):
        return f"The background of the pictures was {card['background']} and is {background} now"
    try:
        changed = fingerprint(path) != card["fingerprint"]
    except OSError:  # as good as gone; the prepared images are not
        changed = False
    return f"The files of {path.name} have changed" if changed else ""


def _load(path, card) -> PreparedImages:
    arrays = load_arrays(path, in_memory=IN_MEMORY)
    if set(arrays) != {f"{s}_{p}" for s in SPLITS for p in ("images", "labels")}:
        raise ValueError(f"{short(path)} holds other arrays; delete it and run notebook 2 again.")
    return PreparedImages(**arrays, card=card)


# Reading


@dataclass
class _Made:
    """What a preparation has read so far: raw pixels in files, the rest in memory."""

    files: dict[str, Path]
    labels: dict[str, list] = field(default_factory=lambda: {split: [] for split in SPLITS})
    skipped: list = field(default_factory=list)  # names and reasons
    hashes: list = field(default_factory=list)
    one_colour: int = 0


def _read_pictures(source, profile, size, channels, folder) -> _Made:
    """Read, crop and resize every wanted picture into one raw file for each split."""
    made = _Made({split: folder / split for split in SPLITS})
    wanted = {"train": profile.train_images, "test": profile.held_out_images}
    wanted["all"] = profile.train_images and round(profile.train_images / (1 - 1 / HELD_OUT))
    chosen = {split: _choose(pictures, wanted[split]) for split, pictures in source.splits.items()}
    total, done, start = sum(map(np.sum, chosen.values())), 0, time.monotonic()
    bar = None
    with ExitStack() as stack:
        files = {split: stack.enter_context(open(path, "wb")) for split, path in made.files.items()}
        for given, pictures in source.splits.items():
            for name, image, label in _each(pictures, chosen[given], size, channels):
                done += 1
                if bar is None and time.monotonic() - start > 2:  # quick sets show no bar
                    bar = keras.utils.Progbar(total, unit_name="picture")
                if bar and (done % 100 == 0 or done == total):
                    bar.update(done)
                if isinstance(image, str):
                    made.skipped.append((name, image))
                    continue
                pixels = image.tobytes()
                number = int.from_bytes(hashlib.blake2b(pixels, digest_size=8).digest(), "big")
                held_out = number % HELD_OUT == 0
                split = given if given != "all" else ("train", "test")[held_out]
                made.hashes.append(number)
                made.one_colour += int((image == image[:1, :1]).all())
                made.labels[split].append(label)
                files[split].write(pixels)
    return made


def _choose(pictures, count) -> np.ndarray:
    """Which pictures of a split to read: all, or `count` of them; bool (N,).

    Equally many of each class where labels are known beforehand, the first of each; else a random
    choice, always the same.
    """
    total = pictures.count if isinstance(pictures, Stream) else len(pictures.names)
    chosen = np.ones(total, bool)
    if count is not None and count < total:
        labels = getattr(pictures, "labels", None)
        if labels is None:
            order = np.random.default_rng(0).permutation(total)[:count]
        else:
            order = _balanced(labels, count)
        chosen[:] = False
        chosen[order] = True
    return chosen


def _each(pictures, chosen, size, channels):
    """Name, prepared image (or the reason why there is none) and label of each chosen picture."""
    if isinstance(pictures, Stream):
        for number, (image, label) in enumerate(pictures.items()):
            if chosen[number]:
                yield f"image {number}", conform(image, size, channels), label
        return

    def read(index):
        try:
            return conform(pictures.read(index), size, channels)
        except UnreadablePicture as reason:
            return str(reason)

    indices = np.flatnonzero(chosen).tolist()
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoding leaves Python's lock
        for start in range(0, len(indices), BLOCK):
            block = indices[start : start + BLOCK]
            for index, image in zip(block, pool.map(read, block)):
                label = 0 if pictures.labels is None else int(pictures.labels[index])
                yield pictures.names[index], image, label


def _pack_arrays(path, made, image_shape) -> None:
    """Move raw pixels and labels into one uncompressed `.npz`, without holding them in memory."""
    with atomic_write(path) as partial, zipfile.ZipFile(partial, "w") as archive:
        for split in SPLITS:
            shape = (len(made.labels[split]), *image_shape)
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            with archive.open(f"{split}_images.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array_header_1_0(file, header)
                with open(made.files[split], "rb") as pixels:
                    shutil.copyfileobj(pixels, file, 1 << 24)
            with archive.open(f"{split}_labels.npy", "w") as file:
                np.lib.format.write_array(file, np.array(made.labels[split], np.int64))


def _balanced(labels, count) -> np.ndarray:
    """Indices of the first images of each class, `count` in all as equally as it goes."""
    by_class = np.argsort(labels, kind="stable")
    _, first, counts = np.unique(labels[by_class], return_index=True, return_counts=True)
    ranks = np.empty(len(labels), int)  # an image's number within its class
    ranks[by_class] = np.arange(len(labels)) - np.repeat(first, counts)
    return np.sort(np.argsort(ranks, kind="stable")[:count])


# The card


def _make_card(run, source, made, image_shape, background) -> dict:
    about = source.about
    labelled = bool(about.class_names)
    names = about.class_names or ("all images",)
    return {
        "dataset": run.dataset,
        "title": about.title,
        "source": about.url,
        "licence": about.licence,
        "shows_people": about.shows_people,
        "read_from": source.read_from,
        "profile": run.profile.name,
        "image_shape": list(image_shape),
        "background": background,
        "train_images": len(made.labels["train"]),
        "test_images": len(made.labels["test"]),
        "labelled": labelled,
        "augmented": about.augmented,
        "class_names": list(names),
        "class_counts": {
            split: np.bincount(made.labels[split], minlength=len(names)).tolist()
            for split in SPLITS
        },
        "skipped": len(made.skipped),
        "skipped_first": [f"{name} ({reason})" for name, reason in made.skipped[:5]],
        "duplicates": len(made.hashes) - len(set(made.hashes)),
        "one_colour": made.one_colour,
        "fingerprint": source.fingerprint,  # of the learner's files
        "images": hashlib.blake2b(np.array(made.hashes, np.uint64), digest_size=16).hexdigest(),
    }


def _warn(card) -> None:
    """One line for each thing about the pictures that the learner should know."""
    total = card["train_images"] + card["test_images"]
    if card["skipped"]:
        print(f"Skipped {card['skipped']} pictures: {', '.join(card['skipped_first'])}.")
    if card["duplicates"] > total / 100:
        print(f"{card['duplicates']} of {total} images are exact copies of others.")
    if card["one_colour"]:
        print(
            f"{card['one_colour']} images are of one colour all over; if they are transparent, try "
            "another BACKGROUND."
        )


def _card_path(run):
    return run.folder / "dataset.json"


def _read_card(run) -> dict:
    try:
        card = json.loads(_card_path(run).read_text(encoding="utf-8"))
        for key in ("dataset", "profile", "fingerprint", "background", "labelled", "images"):
            card[key]
        if card["image_shape"][2] not in (1, 3):
            raise ValueError("neither gray nor colour")
        return card
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ValueError(
            f"{short(_card_path(run))} is damaged; delete it and run notebook 2 again."
        ) from error
