"""One learner's work on one data set: a folder, and the names of the files in it."""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

from helpers.machine import Profile

HISTORY = "history.csv"  # one row an epoch
DISTANCE = "distance.json"  # the circumstances of its column `distance`
CHECKPOINTS = "checkpoints"
PREVIEWS = "previews"
METRICS = "metrics.json"  # lesson 5's scores
RECORD = "record.json"  # inside a checkpoint: what it says beside the weights


@dataclass(frozen=True)
class Run:
    """A name, a folder and the numbers of a profile.

    Attributes:
        folder: of what the learner makes: networks, checkpoints, scores.
        images_folder: of the prepared images, which other runs on the same images share.
        image_size: pixels a side; 0 where the images decide.
        channels: 1 or 3; 0 where the images decide.
        drive: where `SAVE_TO_DRIVE` keeps archives of the folder, or None.
        mirror: the mirror image of each training image is added.
    """

    name: str
    folder: Path
    images_folder: Path
    dataset: str
    image_size: int
    channels: int
    profile: Profile
    drive: Path | None = None
    mirror: bool = False


def checkpoint_files(folder) -> list[Path]:
    """The checkpoints in a run's folder, oldest first."""
    return sorted((Path(folder) / CHECKPOINTS).glob("epoch_*.zip"))


def read_record(checkpoint) -> dict:
    """What a checkpoint says beside its weights.

    Raises:
        ValueError: it is damaged.
    """
    try:
        with zipfile.ZipFile(checkpoint) as archive:
            return json.loads(archive.read(RECORD))
    except Exception as error:  # zipfile and zlib raise many kinds for a bad file
        raise ValueError(f"{Path(checkpoint).name} is damaged.") from error


def newest_record(folder) -> dict | None:
    """That of the newest checkpoint in a run's folder that can be read; None where there is none.

    Among its entries are `id`, the training's own; `epoch`, how many are finished; and `settings`,
    where `images` is the hash of the images it was trained on.
    """
    for checkpoint in reversed(checkpoint_files(folder)):
        try:
            return read_record(checkpoint)
        except ValueError:
            continue
    return None
