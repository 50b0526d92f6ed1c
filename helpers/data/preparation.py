"""From a source to prepared images and their card, which every run on them shares."""

import hashlib
import json
import os
import shutil
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from helpers.data.images import UnreadablePicture, conform, parse_background
from helpers.data.opening import CARD, find_path, open_dataset
from helpers.data.own_files import fingerprint
from helpers.data.sources import SOURCES, Stream
from helpers.files import save_json
from helpers.machine import short
from helpers.notebook import Refused
from helpers.run import Run, newest_record

SPLITS = ("train", "held_out")
IN_MEMORY = 500_000_000  # bytes; larger arrays stay in their file
BLOCK = 256  # pictures decoded at a time
HELD_OUT = 10  # one picture in so many, where nobody has divided the set


@dataclass(frozen=True)
class PreparedImages:
    """Images uint8 (N, H, W, C), labels int64 (N,), and the dataset card (JSON content)."""

    train_images: np.ndarray
    train_labels: np.ndarray
    held_out_images: np.ndarray
    held_out_labels: np.ndarray
    card: dict


def prepare(run: Run, background: str = "") -> PreparedImages:
    """Load the prepared images of a run, or prepare and save them; says in one line which.

    Every picture is cropped to its central square, resized (bilinear, antialiased), and cut or
    widened to the run's channels. Where nobody has divided the set, one picture in ten is held
    out, chosen by the hash of its pixels, so that equal pictures stay on one side. The numbers are
    cut to the profile's, with equal counts per class where labels are known beforehand; where one
    in ten is held out, the cut comes before. With `run.mirror`, the mirror image of each training
    image comes after it. The arrays and `dataset.json`, the card, lie in `run.images_folder`, all
    of them or none.

    Args:
        background: a colour that Pillow knows, laid under transparent pictures; "" takes what the
            prepared images have, or white.

    Raises:
        Refused: the source cannot be used, or the run was trained on other images; one sentence.
    """
    images = _load(run.images_folder)
    change = _change(run, images.card, background) if images else ""
    if images and not change:
        print(f"Images: yours, from {short(run.images_folder)}.")
    else:
        if change:
            print(f"{change}; they are prepared anew.")
        _make(run, background or (images.card["background"] if images else "white"))
        images = _load(run.images_folder)
    settings = (newest_record(run.folder) or {}).get("settings", {})
    if settings and settings.get("images") != images.card["images"]:
        raise Refused(
            f"{short(run.folder)} was trained on other images ({settings.get('data')}) than those "
            f"in {short(run.images_folder)}; choose another RUN_NAME."
        )
    return images


def _load(folder) -> PreparedImages | None:
    """What lies in a folder of prepared images; None where it is not all there."""
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        arrays = {}
        for split in SPLITS:
            path, shape = folder / f"{split}_images.npy", tuple(card["image_shape"])
            mode = "r" if path.stat().st_size > IN_MEMORY else None
            images, labels = np.load(path, mmap_mode=mode), np.load(folder / f"{split}_labels.npy")
            if images.shape != (card[f"{split}_images"], *shape) or len(labels) != len(images):
                return None
            arrays |= {f"{split}_images": images, f"{split}_labels": labels}
        return PreparedImages(**arrays, card=card)
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None


def _change(run, card, background) -> str:
    """What is not as it was when the images were prepared, as far as can be seen here; or ""."""
    own = run.dataset not in SOURCES and not run.dataset.startswith("tfds:")
    if card["dataset"] != run.dataset and not (own and card["fingerprint"]):
        return f"{short(run.images_folder)} holds the images of {card['title']}"
    path = find_path(run.dataset)
    if path is None:  # a set with a name, or files that are gone; the prepared images are not
        return ""
    if background and parse_background(background) != parse_background(card["background"]):
        return f"BACKGROUND was {card['background']} and is {background} now"
    changed = fingerprint(path) != card["fingerprint"]
    return f"The files of {path.name} are not those that were prepared" if changed else ""


def _make(run, background) -> None:
    """Prepare the images of a run in a folder beside, which takes the place of the last."""
    path, target = find_path(run.dataset), run.images_folder
    mark = fingerprint(path) if path else ""
    prefix = f".partial-{target.name}-"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")  # of large pictures and odd EXIF data
        source, splits, place = open_dataset(run.dataset, run.profile.name == "full", background)
        size, channels = run.image_size or source.size, run.channels or source.channels
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            for left in target.parent.glob(f"{prefix}*"):  # by a preparation that was killed
                shutil.rmtree(left, ignore_errors=True)
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=prefix) as beside:
                new = Path(beside, "new")
                new.mkdir()
                card = {
                    "dataset": run.dataset,
                    "title": source.title,
                    "source": source.url,
                    "licence": source.licence,
                    "shows_people": source.shows_people,
                    "read_from": place,
                    "profile": run.profile.name,
                    "background": background,
                    "labelled": bool(source.class_names),
                    "augmented": source.augmented,
                    "class_names": list(source.class_names or ("all images",)),
                    "fingerprint": mark,  # of the learner's files
                } | _write_arrays(run, source, splits, (size, size, channels), new)
                _require_some(card)
                save_json(new / CARD, card)
                if target.exists():
                    target.rename(Path(beside, "before"))
                new.rename(target)
        except OSError as error:
            raise OSError(
                f"Could not prepare {source.title} ({error.strerror or error}). Free some space, "
                "or set DCGAN_RUNS to a folder you can write."
            ) from error
    print(f"Images: made now from {place}, saved in {short(target)}.")
    _warn(card)


def _write_arrays(run, source, splits, image_shape, folder) -> dict:
    """Read, crop and resize every wanted picture into one `.npy` file for each split.

    Where the run wants it, each training image is followed by its mirror image.

    Pixels are written as they come, so that a set may be larger than memory, and the header of the
    file, which holds their number, once more at the end.

    Returns:
        What the card says of the pictures.
    """
    labels = {split: [] for split in SPLITS}
    skipped, hashes, one_colour = [], [], 0
    train, held_out = run.profile.train_images, run.profile.held_out_images
    wanted = {"train": train, "held_out": held_out}
    wanted["all"] = train and round(train / (1 - 1 / HELD_OUT))
    chosen = {split: _choose(pictures, wanted[split]) for split, pictures in splits.items()}
    total = sum(map(len, chosen.values()))
    with ExitStack() as stack:
        files = {}
        for split in SPLITS:
            files[split] = stack.enter_context(open(folder / f"{split}_images.npy", "wb"))
            _write_header(files[split], (0, *image_shape))
        pictures = _each(splits, chosen, image_shape)
        for given, name, image, label in tqdm(
            pictures, total=total, delay=2, mininterval=1, unit=" pictures"
        ):
            if isinstance(image, str):
                skipped.append(f"{name} ({image})")
                continue
            pixels = image.tobytes()
            number = int.from_bytes(hashlib.blake2b(pixels, digest_size=8).digest(), "big")
            split = given if given != "all" else SPLITS[number % HELD_OUT == 0]
            files[split].write(pixels)
            labels[split].append(label)
            if run.mirror and split == "train":
                files[split].write(image[:, ::-1].tobytes())
                labels[split].append(label)
            hashes.append(number)
            one_colour += int((image == image[:1, :1]).all())
        for split in SPLITS:
            files[split].seek(0)
            _write_header(files[split], (len(labels[split]), *image_shape))
            np.save(folder / f"{split}_labels.npy", np.array(labels[split], np.int64))
    identity = np.array([*hashes, 1] if run.mirror else hashes, np.uint64)
    return {
        "image_shape": list(image_shape),
        "mirrored": run.mirror,
        "train_images": len(labels["train"]),
        "held_out_images": len(labels["held_out"]),
        "class_counts": {
            split: np.bincount(labels[split], minlength=len(source.class_names)).tolist()
            for split in SPLITS
        },
        "skipped": len(skipped),
        "skipped_first": skipped[:5],
        "duplicates": len(hashes) - len(set(hashes)),
        "one_colour": one_colour,
        "images": hashlib.blake2b(identity, digest_size=16).hexdigest(),
    }


def _write_header(file, shape) -> None:
    """That of a `.npy` file of uint8; its length does not depend on the first number of `shape`."""
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _choose(pictures, count) -> np.ndarray:
    """Indices of the pictures of a split to read: of all, or of `count` of them.

    Equally many of each class where labels are known beforehand, the first of each; else a random
    choice, always the same.
    """
    total = pictures.count if isinstance(pictures, Stream) else len(pictures.names)
    labels = None if isinstance(pictures, Stream) else pictures.labels
    if labels is None:
        order = np.random.default_rng(0).permutation(total)
    else:
        rank = pd.Series(labels).groupby(labels).cumcount()  # a picture's number in its class
        order = np.argsort(rank.to_numpy(), kind="stable")
    return np.sort(order[:count])


def _each(splits, chosen, image_shape):
    """Split, name, prepared image (or the reason why there is none) and label of each picture."""
    size, _, channels = image_shape
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoding leaves Python's lock
        for split, pictures in splits.items():
            if isinstance(pictures, Stream):
                wanted = set(chosen[split].tolist())
                for number, (image, label) in enumerate(pictures.items()):
                    if number in wanted:
                        yield split, f"image {number}", conform(image, size, channels), label
                continue

            def read(index, pictures=pictures):
                try:
                    return conform(pictures.read(index), size, channels)
                except UnreadablePicture as reason:
                    return str(reason)

            for start in range(0, len(chosen[split]), BLOCK):
                block = chosen[split][start : start + BLOCK].tolist()
                for index, image in zip(block, pool.map(read, block)):
                    label = 0 if pictures.labels is None else int(pictures.labels[index])
                    yield split, pictures.names[index], image, label


def _require_some(card) -> None:
    train, held_out, skipped = card["train_images"], card["held_out_images"], card["skipped"]
    if not train or not held_out:
        reasons = f", and {skipped} were skipped: {', '.join(card['skipped_first'])};"
        raise Refused(
            f"{card['title']} gives {train} pictures to train on and {held_out} to hold out"
            f"{reasons if skipped else ';'} both must be at least 1, so add pictures."
        )


def _warn(card) -> None:
    """One line for each thing about the pictures that the learner should know."""
    total = card["train_images"] + card["held_out_images"]
    if card["skipped"]:
        print(f"Skipped {card['skipped']} pictures: {', '.join(card['skipped_first'])}.")
    if card["duplicates"] > total / 100:
        print(f"{card['duplicates']} of {total} images are exact copies of others.")
    if card["one_colour"]:
        print(
            f"{card['one_colour']} images are of one colour all over; if they are transparent, try "
            "another BACKGROUND."
        )
