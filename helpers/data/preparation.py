"""From a source to prepared images and their card, which every run on them shares."""

import json
import shutil
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helpers.data.images import parse_background
from helpers.data.opening import CARD, find_path, open_dataset
from helpers.data.own_files import fingerprint, look
from helpers.data.writing import LEAST, SPLITS, write_arrays
from helpers.files import save_json
from helpers.machine import short
from helpers.refused import Refused
from helpers.run import Run, newest_record

FEW = 500  # pictures to train on
IN_MEMORY = 500_000_000  # bytes; larger arrays stay in their file


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
    taken = images.card["background"] if images else "white"
    _require_use(run, background, taken)
    change = _change(run, images.card, background) if images else ""
    if images and not change:
        print(f"Images: yours, from {short(run.images_folder)}.")
    else:
        if change:
            print(f"{change}; they are prepared anew.")
        _make(run, background or taken)
        images = _load(run.images_folder)
    for note in images.card["notes"]:
        print(f"{note}.")
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
        if not {"notes", "seen"} <= set(card):  # an earlier course's
            return None
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


def _require_use(run, background, taken) -> None:
    """Refuse a background other than the one taken where it would lie under nothing."""
    path = find_path(run.dataset)
    if path and (path.is_dir() or path.suffix.lower() == ".zip"):
        return
    if background and parse_background(background) != parse_background(taken):
        name = path.name if path else run.dataset
        raise Refused(
            f"BACKGROUND is {background!r}, and only the transparent pictures of a folder or zip "
            f"are laid on it; {name!r} has none, so set BACKGROUND to ''."
        )


def _change(run, card, background) -> str:
    """What is not as it was when the images were prepared, as far as can be seen here; or ""."""
    path = find_path(run.dataset)
    if path is None:  # a set with a name, or files that are gone; the prepared images are not
        return ""
    if background and parse_background(background) != parse_background(card["background"]):
        return f"BACKGROUND was {card['background']} and is {background} now"
    seen = look(path)
    if seen == card["seen"]:
        return ""
    if fingerprint(path) != card["fingerprint"]:
        return f"The files of {path.name} are not those that were prepared"
    save_json(run.images_folder / CARD, card | {"seen": seen, "path": str(path.resolve())})
    return ""


def _make(run, background) -> None:
    """Prepare the images of a run in a folder beside, which takes the place of the last."""
    path, target = find_path(run.dataset), run.images_folder
    seen = look(path) if path else ""
    prefix = f".partial-{target.name}-"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")  # of large pictures and odd EXIF data
        source, splits, place, notes = open_dataset(
            run.dataset, run.profile.name == "full", background
        )
        size, channels = run.image_size or source.size, run.channels or source.channels
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            for left in target.parent.glob(f"{prefix}*"):
                if time.time() - left.stat().st_mtime > 3600:  # by a preparation that was killed
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
                    # Of the learner's files: where they lie, how they look, and what is in them.
                    "path": str(path.resolve()) if path else "",
                    "seen": seen,
                    "fingerprint": fingerprint(path) if path else "",
                } | write_arrays(run, source, splits, (size, size, channels), new)
                _require_enough(card, notes)
                card["notes"] = [*notes, *_notes(run, card)]
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


def _require_enough(card, notes) -> None:
    train, held_out, skipped = card["train_images"], card["held_out_images"], card["skipped"]
    if min(train, held_out) < LEAST:
        print(*(f"{note}." for note in notes), sep="\n")
        reasons = f", and {skipped} were skipped: {', '.join(card['skipped_first'])};"
        raise Refused(
            f"{card['title']} gives {train} pictures to train on and {held_out} to hold out"
            f"{reasons if skipped else ';'} at least {LEAST} of each are needed, better thousands, "
            "so add pictures."
        )


def _notes(run, card) -> list[str]:
    """A sentence for each thing about the pictures that the learner should know."""
    notes, train = [], card["train_images"]
    total = train + card["held_out_images"]
    if card["skipped"]:
        notes.append(f"Skipped {card['skipped']}: {', '.join(card['skipped_first'])}")
    if card["brightest"] < 128:
        notes.append(
            f"The largest value of all pixels is {card['brightest']} of 255, so the pictures are "
            "dark or black; if white should be white, scale the values to 0 to 255"
        )
    if card["in_colour"] and not run.channels:
        notes.append(
            f"{card['in_colour']} of {total} pictures are in colour and become gray; CHANNELS = 3 "
            "keeps all in colour"
        )
    if card["duplicates"] > total / 100:
        notes.append(f"{card['duplicates']} of {total} images are exact copies of others")
    if card["one_colour"]:
        notes.append(
            f"{card['one_colour']} images are of one colour all over; if they are transparent, try "
            "another BACKGROUND"
        )
    if train < FEW:
        notes.append(f"Only {train} pictures to train on may be learnt by heart; take thousands")
    return notes
