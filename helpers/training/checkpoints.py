"""A training that stops can go on: after every epoch its whole state in one file."""

import json
import math
import secrets
import shutil
import tempfile
import warnings
import zipfile
from pathlib import Path

import keras

from helpers.files import atomic_write, save_json, save_table
from helpers.machine import short
from helpers.refused import Refused
from helpers.run import (
    CHECKPOINTS,
    DISTANCE,
    HISTORY,
    METRICS,
    PREVIEWS,
    RECORD,
    checkpoint_files,
    read_record,
)
from helpers.training.history import best_epoch
from helpers.training.machines import is_chief
from helpers.training.sameness import first_difference, what_trains

WEIGHTS = "model.weights.h5"  # beside the record, inside a checkpoint
# What belongs to a training, with its networks and their scores:
TRAINED = (
    CHECKPOINTS, HISTORY, DISTANCE, PREVIEWS, "training.gif", "generator_trained.keras",
    "generator_best.keras", "discriminator_trained.keras", METRICS, "samples.png",
    "latent_walk.png", "conditional_generator.keras",
)  # fmt: skip
REMEDY = "Choose another RUN_NAME, or set RESUME = False and run all cells to start this run over."


class Checkpoint(keras.callbacks.Callback):
    """Before the first epoch and after each, write the model's whole state and the history.

    A file is `checkpoints/epoch_0007.zip`, named by the finished epochs: the model's
    `model.weights.h5`, optimizers included, and a `record.json`. The last two are kept. Beside the
    folder go `history.csv`, one row an epoch, and `distance.json`, the circumstances of its column
    `distance`; both are written anew from the checkpoint.

    The model's `best_generator` becomes the one with the smallest distance of the history, the
    first of equals. Until one is measured, it is the generator of the same checkpoint.

    Args:
        folder: the run's folder.
        settings: what a checkpoint must agree on to be resumed (batch size, for instance).
        card: of the images, which must be the same ones.
    """

    def __init__(self, folder, settings: dict, card: dict):
        super().__init__()
        self.folder = Path(folder)
        size, _, channels = card["image_shape"]
        colour = "gray" if channels == 1 else "in colour"
        self.settings = settings | {
            "images": card["images"],
            "data": f"{card['dataset']} at {size} pixels, {colour}, profile {card['profile']}",
        }
        self.id = secrets.token_hex(8)
        self.history = []  # rows of history.csv
        self.floor = None  # the distance of real pictures, see `Distance`

    def on_train_begin(self, logs=None):
        if not checkpoint_files(self.folder):
            self.save(self.model)
        self.first_step = int(self.model.step.numpy())

    def on_train_batch_end(self, batch, logs=None):
        if self.first_step is None:
            return
        counted = int(self.model.step.numpy()) - self.first_step
        self.first_step = None  # once is enough
        if counted != batch + 1 or any(mean.name not in logs for mean in self.model.means):
            raise Refused(
                "A train_step must end with `return self.report(...)`, once: it counts the steps "
                f"and gives the history its columns; after {batch + 1} batches it has counted "
                f"{counted}, and gives {', '.join(logs) or 'nothing'}."
            )

    def on_epoch_end(self, epoch, logs=None):
        values = {name: float(value) for name, value in logs.items()}
        row = {name: None if math.isnan(value) else value for name, value in values.items()}
        self.history.append({"epoch": epoch + 1, **row})  # JSON has no nan
        if best_epoch(self.history) in (0, epoch + 1):
            self.model.keep_generator()
        self.save(self.model)

    def save(self, model) -> None:
        """Write the state of `model` and the history so far, then drop all files but two."""
        epoch = len(self.history)
        record = {
            "id": self.id,
            "epoch": epoch,
            "history": self.history,
            "floor": self.floor,
            "precision": model.precision,
            "settings": self.settings,
            "trains": what_trains(model),
        }
        with atomic_write(self.folder / CHECKPOINTS / f"epoch_{epoch:04d}.zip") as partial:
            weights = partial.with_suffix(".weights.h5")
            try:  # HDF5 crashes Python where the disk is full, so the space is asked for first
                weights.write_bytes(bytes(_bytes_needed(model)))
                model.save_weights(weights)
                with zipfile.ZipFile(partial, "w") as archive:
                    archive.write(weights, WEIGHTS)
                    archive.writestr(RECORD, json.dumps(record))
            finally:
                weights.unlink(missing_ok=True)
        for old in checkpoint_files(self.folder)[:-2]:
            old.unlink(missing_ok=True)
        self._save_history()

    def restore(self, model) -> int:
        """Put the newest saved state back, if there is one, and return its finished epochs.

        A damaged file is named in a line, and the one before it is taken.

        Raises:
            Refused: every file is damaged, or the state is of other networks or settings; or there
                is none, and these networks are no new ones.
        """
        files = checkpoint_files(self.folder)
        if not files:
            _require_new(model)
        for path in reversed(files):
            try:
                record = read_record(path)
                with zipfile.ZipFile(path) as archive:
                    weights = archive.read(WEIGHTS)
            except Exception:  # zipfile and zlib raise many kinds for a bad file
                print(f"{short(path)} is damaged, so an earlier one is needed.")
                continue
            self._require_same(record, model, short(path))
            self._load(weights, model, short(path))
            if record["precision"] != model.precision:
                print(f"Goes on in {model.precision}; until now it was {record['precision']}.")
            self.id, self.history, self.floor = record["id"], record["history"], record["floor"]
            if is_chief(model.distribute_strategy):
                self._save_history()
            return record["epoch"]
        if files:
            raise Refused(f"No checkpoint in {short(self.folder)} can be read. {REMEDY}")
        return 0

    def start_over(self, model) -> int:
        """Move an earlier training of this run to `replaced/<run>` beside it; return 0 epochs.

        There it is in no archive of the run, and lesson 5 does not take it for a run.

        Raises:
            Refused: the networks of `model` have been trained already; nothing is moved.
        """
        _require_new(model)
        if checkpoint_files(self.folder):
            aside = self.folder.parent / "replaced" / self.folder.name
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)
            for name in TRAINED:
                if (self.folder / name).exists():
                    (self.folder / name).rename(aside / name)
            print(f"Starting over; the training that was here is in {short(aside)} now.")
        return 0

    def _save_history(self):
        if not self.history:
            (self.folder / HISTORY).unlink(missing_ok=True)
        else:
            save_table(self.folder / HISTORY, self.history)
        if epoch := best_epoch(self.history):
            best = self.floor | {"value": self.history[epoch - 1]["distance"], "epoch": epoch}
            save_json(self.folder / DISTANCE, {"floor": self.floor, "best": best})
        else:  # an earlier state may have been gone back to
            (self.folder / DISTANCE).unlink(missing_ok=True)

    def _require_same(self, record, model, name):
        """Refuse a checkpoint of other settings, networks, optimizers or code, naming one."""
        before, now = record["settings"], self.settings
        if before["images"] == now["images"]:
            before = before | {"data": now["data"]}  # the files may have moved
        difference = first_difference(
            {name: value for name, value in before.items() if name != "images"},
            {name: value for name, value in now.items() if name != "images"},
        ) or first_difference(record["trains"], what_trains(model))
        if not difference and before["images"] != now["images"]:
            difference = "made with other images"
        if difference:
            raise Refused(f"{name} was {difference}. {REMEDY}")

    def _load(self, weights, model, name):
        model.generator.has_trained = True
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            path = Path(folder, WEIGHTS)
            path.write_bytes(weights)
            warnings.simplefilter("error", UserWarning)  # where an optimizer is another
            try:
                model.load_weights(path)
            except Exception as error:  # Keras raises many kinds for weights that do not fit
                raise Refused(f"The weights in {name} are of another model. {REMEDY}") from error


def _bytes_needed(model) -> int:
    """For the weights and the zip of them: 4 bytes a number, twice, and something for headers."""
    parts = (model, model.generator_optimizer, model.discriminator_optimizer)
    numbers = sum(math.prod(variable.shape) for part in parts for variable in part.variables)
    return 8 * numbers + 1_000_000


def _require_new(model):
    """Refuse to start with networks that this session has trained, be it in another model."""
    if getattr(model.generator, "has_trained", False):
        raise Refused(
            "These networks have been trained. Run all cells from the top, so that new ones are "
            "made; or, to go on with a saved training, set RESUME = True and run this cell again."
        )
