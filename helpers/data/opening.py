"""What `DATASET` names, and the run that works on it."""

import json
import re
from pathlib import Path

import keras
import numpy as np

from helpers.data.images import UnreadablePicture
from helpers.data.own_files import fingerprint, open_path
from helpers.data.sources import SOURCES, Source, open_source, usual_size
from helpers.drive import MOUNT_POINT, fetch_run, open_drive
from helpers.machine import ROOT, current_profile, hosting, runs_folder, short
from helpers.refused import Refused
from helpers.run import CHECKPOINTS, Run

CARD = "dataset.json"  # of prepared images, beside their arrays
SMALLEST_SIDE = 8  # pixels


def open_run(
    dataset: str,
    image_size: int = 0,
    name: str = "",
    save_to_drive: str = "",
    channels: int = 0,
    mirror: bool = False,
) -> Run:
    """The run of that name; makes no folder yet.

    By default the name is that of its folder of images, `<set>-<size>-<profile>`: without the size
    where the images decide it, with `gray` or `colour` in it where `channels` asks for what the set
    is not known to be, and with `mirrored` where it is.

    Args:
        dataset: as for `open_dataset`.
        image_size: pixels a side; 0 takes the set's own, or the next usual one up.
        save_to_drive: a folder that keeps archives of the run, or "". The newest that lies there
            already is fetched.
        channels: 1 for gray, 3 for colour, 0 for what the images have.
        mirror: add the mirror image of each training image.

    Raises:
        Refused: unknown data set, size, channels or name, or a run made by an earlier course.
    """
    _require_size(image_size)
    if channels not in (0, 1, 3):
        raise Refused(f"CHANNELS is {channels}; it is 1 for gray, 3 for colour or 0 for either.")
    if mirror not in (True, False):
        raise Refused(f"MIRROR is {mirror!r}; it is True or False.")
    policy, order = keras.config.dtype_policy().name, keras.config.image_data_format()
    if (policy, order) != ("float32", "channels_last"):
        raise Refused(
            f"Keras is set to {policy} and {order}, but the course needs float32 (PRECISION in "
            "lesson 4 says what trains faster) and channels_last: restart the kernel without "
            "keras.config.set_dtype_policy and keras.config.set_image_data_format."
        )
    if hosting() == "Colab" and dataset.startswith(MOUNT_POINT):
        open_drive(MOUNT_POINT)  # so that the pictures are there
    kind = {0: "", 1: "gray", 3: "colour"}[channels]
    if dataset in SOURCES:
        image_size = image_size or SOURCES[dataset].size
        kind = "" if channels == SOURCES[dataset].channels else kind
        channels = channels or SOURCES[dataset].channels
    profile = current_profile()
    parts = (slug(dataset), str(image_size or ""), kind, mirror and "mirrored", profile.name)
    images = "-".join(filter(None, parts))
    given, name = name, name or images
    if not re.fullmatch(r"\w[\w .+=-]{0,99}", name) or name in ("images", "replaced"):
        raise Refused(
            f"RUN_NAME is {name[:120]!r}; it names one folder, other than 'images' and "
            "'replaced': up to 100 letters, digits, spaces and . _ - + =, the first a letter or "
            "digit."
        )
    folder, images_folder = runs_folder() / name, runs_folder() / "images" / images
    title = _other_set(dataset, images_folder)
    if title and not given:
        raise Refused(
            f"{short(images_folder)} holds the images of {title}, another set than "
            f"{_ending(dataset)}; choose a RUN_NAME for this one."
        )
    if title:
        images_folder = images_folder.with_name(f"{images}-{slug(given)}")
    if not (images_folder / CARD).is_file():  # what is prepared may outlive its files
        require_dataset(dataset)
    drive = open_drive(save_to_drive)
    run = Run(
        name, folder, images_folder, dataset, image_size, channels, profile, drive, bool(mirror)
    )
    fetch_run(run)
    if (folder / "images.npz").is_file() or any((folder / CHECKPOINTS).glob("step_*.npz")):
        raise Refused(
            f"{short(folder)} was made by an earlier version of the course, whose files are not "
            "read any more; choose another RUN_NAME, or move that folder away."
        )
    return run


def _require_size(size) -> None:
    """Refuse what is no side of an image, or one that is too small for the networks."""
    if not isinstance(size, int) or (size and size < SMALLEST_SIDE):
        raise Refused(
            f"IMAGE_SIZE is {size!r}; it is a side in pixels, a whole number from {SMALLEST_SIDE}, "
            "or 0 for the set's own."
        )


def _other_set(dataset, images_folder) -> str:
    """What lies there of another data set than this; "" where nothing does."""
    try:
        card = json.loads((images_folder / CARD).read_text(encoding="utf-8"))
        path, same = find_path(dataset), card["dataset"] == dataset
        if path:  # no set with a name, and no files that are gone
            same = card["path"] == str(path.resolve()) or card["fingerprint"] == fingerprint(path)
        return "" if same else _ending(card["dataset"])
    except (OSError, ValueError, KeyError, TypeError):  # what is damaged is prepared anew
        return ""


def _ending(dataset) -> str:
    """The last two parts of a path, or a name."""
    return "/".join(re.split(r"[/\\]", str(dataset).rstrip("/\\"))[-2:])[-80:]


def slug(dataset: str) -> str:
    """A short name for a folder: `cifar10` for "tfds:cifar10", `cats` for "my/cats.zip"."""
    name = dataset.removeprefix("tfds:")
    if name == dataset:
        name = re.split(r"[/\\:]", name.rstrip("/\\"))[-1]
        name = name.rsplit(".", 1)[0] if "." in name[1:] else name
    return re.sub(r"[^\w-]+", "_", name)[:60] or "images"


def find_path(dataset: str) -> Path | None:
    """The file or folder that `dataset` names; None where there is none, or it names a set.

    A relative path counts from the working directory, then from the repository.
    """
    if not dataset or dataset in SOURCES or dataset.startswith("tfds:"):
        return None
    try:
        path = Path(dataset).expanduser()
        return next((place for place in (path, ROOT / path) if place.exists()), None)
    except (OSError, RuntimeError, ValueError):  # a name no file can have
        return None


def require_dataset(dataset: str) -> None:
    """Say in one sentence that a name is no data set.

    Raises:
        Refused: it is none; the message says what there is.
    """
    if not (dataset in SOURCES or dataset.startswith("tfds:") or find_path(dataset)):
        raise Refused(
            f"There is no data set {dataset[:120]!r}; DATASET is one of {', '.join(SOURCES)}, "
            "tfds:NAME, or the path of a folder, .zip, .csv, .npz or .npy of pictures."
        )


def open_dataset(dataset: str, whole: bool, background: str = "white"):
    """Find a data set and say what its pictures are, without reading all of them.

    Args:
        dataset: a name in SOURCES, "tfds:NAME", or the path of a folder, `.zip`, `.csv`, `.npz` or
            `.npy`.
        whole: all images of a known set, or the smaller selection that the repository ships.
        background: a colour that Pillow knows, laid under transparent pictures.

    Returns:
        As `open_source`, and sentences about how the learner's own pictures are read.

    Raises:
        Refused: there is no such set, or it cannot be used; one sentence.
    """
    require_dataset(dataset)
    path = find_path(dataset)
    if path is None:
        return *open_source(dataset, whole), []
    if any(inside.resolve().is_relative_to(path.resolve()) for inside in (ROOT, runs_folder())):
        raise Refused(
            f"The folder {path.resolve().name} holds the course itself; put your pictures into a "
            "folder of their own."
        )
    splits, notes = open_path(path, background)
    pictures = splits.get("all") or splits["train"]
    size, channels = _usual_format(pictures)
    about = Source(
        title=path.name,
        url="your own",
        licence="yours to know",
        shows_people="yours to know",
        class_names=pictures.class_names,
        augmented=path.name.startswith("sign_mnist"),
        size=size,
        channels=channels,
    )
    return about, splits, "your files", notes


def _usual_format(pictures) -> tuple[int, int]:
    """Side and channels to take for pictures, from up to 50 of them spread over the whole.

    The smallest usual side that holds half of them, at most 64; gray only if all are.
    """
    sides, gray = [], True
    for index in np.unique(np.linspace(0, len(pictures.names) - 1, 50).astype(int)):
        try:
            image = pictures.read(int(index))
        except UnreadablePicture:
            continue
        sides.append(min(image.shape[:2]))
        gray = gray and bool((image == image[..., :1]).all())
    return usual_size(np.median(sides)) if sides else 64, 1 if gray and sides else 3
