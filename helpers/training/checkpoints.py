"""A training that stops can go on: its whole state in one verified file, after every epoch."""

import hashlib
import json
import math
import shutil
from itertools import zip_longest
from pathlib import Path

import keras
import numpy as np

from helpers.files import load_arrays, save_arrays, save_json, save_table
from helpers.machine import short
from helpers.notebook import Refused
from helpers.run import DISTANCE, HISTORY
from helpers.training.history import symptom

NETWORKS = ("generator", "discriminator")
ABOUT = {"history", "floor", "settings", "optimizers", "layers", "precision", "healthy"}
# In a run's folder:
FOLDER = "checkpoints"
REPLACED = "replaced"  # the training that was there before a new start
# What belongs to a training, its networks and scores as well:
TRAINED = (
    FOLDER, HISTORY, DISTANCE, "previews", "training.gif", "generator_trained.keras",
    "generator_best.keras", "discriminator_trained.keras", "metrics.json",
)  # fmt: skip
# Settings of layers and optimizers that are not compared; nor are initializers, for the weights
# are there.
SPARED = ("name", "seed", "dtype", "module", "registered_name", "build_config", "build_input_shape")
REMEDY = "Choose another RUN_NAME, or set RESUME = False and run all cells to start this run over."


class Checkpoint(keras.callbacks.Callback):
    """After each epoch, write the model's state and the history to one `.npz` file.

    The files are `checkpoints/step_0000468.npz`, named by the training steps taken. The newest two
    are kept, and the last one whose epoch showed no symptom (`helpers.training.history`). Beside the
    folder go `history.csv`, one row an epoch, and `distance.json`, the circumstances of its column
    `distance`; both are always written anew from the checkpoint.

    The model's `best_generator` becomes the one with the smallest distance of the history, the
    first of equals. Until one is measured, it is the generator of the same checkpoint.

    Args:
        folder: the run's folder.
        steps_per_epoch: training steps of one epoch.
        settings: what a checkpoint must agree on to be resumed (batch size, for instance).
    """

    def __init__(self, folder, steps_per_epoch: int, settings: dict):
        super().__init__()
        self.run_folder = Path(folder)
        self.steps_per_epoch = steps_per_epoch
        self.settings = json.loads(json.dumps(settings | {"steps per epoch": steps_per_epoch}))
        self.history = []
        self.floor = (
            None  # the record of `helpers.evaluation.features.figure` that `distance` belongs to
        )
        self.healthy = None  # the name of the last file without a symptom
        self.means = None  # of an epoch that is resumed in its middle
        self.used = False  # whether this object has saved or restored a state

    def on_train_begin(self, logs=None):
        self.begun = int(self.model.step)

    def on_train_batch_end(self, batch, logs=None):
        if self.begun is not None:  # the first time only
            counted, self.begun = int(self.model.step) - self.begun, None
            names = {metric.name for metric in self.model.score_metrics}
            if counted != batch + 1 or not names <= logs.keys():
                raise Refused(
                    "A train_step must end with `return self.report(...)`, once: it counts the "
                    f"steps and gives the history its columns; after {batch + 1} batches it has "
                    f"counted {counted}, and gives {', '.join(logs) or 'nothing'}."
                )

    def on_epoch_begin(self, epoch, logs=None):
        if self.means is not None:  # `fit` has just set them back
            _assign(self.model.state()["means"], self.means)
        self.means = None

    def on_epoch_end(self, epoch, logs=None):
        values = {name: float(value) for name, value in logs.items()}
        row = {name: None if math.isnan(value) else value for name, value in values.items()}
        self.history.append({"epoch": epoch + 1, **row})  # JSON has no nan
        if best_epoch(self.history) == epoch + 1:
            self.model.keep_generator()
        self.save(self.model)

    def save(self, model) -> None:
        """Write the state of `model` and the history so far, then drop what is not kept."""
        step = int(model.step)
        path = self.run_folder / FOLDER / f"step_{step:07d}.npz"
        if not (self.history and symptom(self.history[-1])):
            self.healthy = path.name
        if not best_epoch(self.history):
            model.keep_generator()
        about = {
            "history": self.history,
            "floor": self.floor,
            "settings": self.settings,
            "optimizers": _optimizers(model),
            "layers": {name: _layers(getattr(model, name)) for name in NETWORKS},
            "precision": model.precision,
            "healthy": self.healthy,
        }
        arrays = {
            f"{group}/{index:03d}": np.asarray(variable)
            for group, variables in model.state().items()
            for index, variable in enumerate(variables)
        }
        arrays["about"] = np.array(json.dumps(about))
        save_arrays(path, sha256=np.array(_sha256(arrays)), **arrays)
        for other in self.files()[:-2]:
            if other.name != self.healthy:
                other.unlink(missing_ok=True)
        self._save_history()
        self.used = True

    def start_over(self) -> int:
        """Put an earlier training of this run aside, into `replaced/`, and return 0 steps."""
        run, aside = self.run_folder, self.run_folder / REPLACED
        if self.files():
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir()
            for name in TRAINED:
                if (run / name).exists():
                    (run / name).rename(aside / name)
            print(f"Starting over; the training that was here is in {short(aside)} now.")
        return 0

    def restore(self, model) -> int:
        """Put the newest saved state back, if there is one, and return the steps it has taken.

        A damaged file is named in a line and renamed, and the one before it is taken.

        Raises:
            Refused: every file is damaged, or the state is of other networks or settings.
        """
        damaged = []
        for path in reversed(self.files()):
            try:
                arrays = load_arrays(path)
                if str(arrays.pop("sha256")) != _sha256(arrays):
                    raise ValueError
                about = json.loads(str(arrays.pop("about")))
                if not isinstance(about, dict) or about.keys() != ABOUT:
                    raise ValueError
            except (KeyError, ValueError):
                damaged.append(path)
                continue
            step = self._put_back(model, arrays, about, short(path))
            if damaged:
                print(f"Damaged: {', '.join(map(short, damaged))}; taken instead: {path.name}.")
            for bad in damaged:
                bad.replace(bad.with_suffix(".damaged"))
            return step
        if damaged:
            raise Refused(
                f"No checkpoint can be read ({', '.join(map(short, damaged))} damaged); choose "
                "another RUN_NAME, or set RESUME = False to start this run over."
            )
        return 0

    def files(self) -> list[Path]:
        """The checkpoints there are, oldest first."""
        return checkpoint_files(self.run_folder)

    def _put_back(self, model, arrays, about, name) -> int:
        groups = {}
        for key in sorted(arrays):
            groups.setdefault(key.split("/")[0], []).append(arrays[key])
        self._require_same(about, model, groups, name)
        if about["precision"] != model.precision:
            print(f"Goes on in {model.precision}; until now it was {about['precision']}.")
        state = model.state()
        for group, variables in state.items():
            if group != "loss_scales" or len(groups.get(group, [])) == len(variables):
                _assign(variables, groups.get(group, []))
        self.history = about["history"]
        self.floor = about["floor"]
        self.healthy = about["healthy"]
        self._save_history()
        self.used = True
        step = int(model.step)
        if step % self.steps_per_epoch:
            self.means = groups["means"]
        return step

    def _save_history(self):
        if self.history:
            save_table(self.run_folder / HISTORY, self.history)
        if epoch := best_epoch(self.history):
            value = self.history[epoch - 1]["distance"]
            best = self.floor | {"value": value, "epoch": epoch}
            save_json(self.run_folder / DISTANCE, {"floor": self.floor, "best": best})
        else:  # an earlier state may have been gone back to
            (self.run_folder / DISTANCE).unlink(missing_ok=True)

    def _require_same(self, about, model, groups, name):
        """Refuse a checkpoint of other settings, networks or optimizers, naming a difference."""
        yours = {
            **self.settings,
            **{network: _layers(getattr(model, network)) for network in NETWORKS},
            **{f"{network}'s optimizer": each for network, each in _optimizers(model).items()},
        }
        saved = {
            **about["settings"],
            **about["layers"],
            **{f"{network}'s optimizer": each for network, each in about["optimizers"].items()},
        }
        for what, now in yours.items():
            if difference := _difference(saved.get(what), now):
                place, before, now = difference
                raise Refused(
                    f"{name} was made with {what}{place} {_shown(before)}, now it is "
                    f"{_shown(now)}. {REMEDY}"
                )
        for group, variables in model.state().items():
            if group == "loss_scales":  # another precision may go on with the same weights
                continue
            before = [array.shape for array in groups.get(group, [])]
            now = [tuple(variable.shape) for variable in variables]
            if before != now:
                old, new = next(
                    ((a, b) for a, b in zip(before, now) if a != b),
                    (f"{len(before)} arrays", f"{len(now)} arrays"),
                )
                raise Refused(
                    f"{name} belongs to another model: for {group} it holds {old}, yours has "
                    f"{new}. {REMEDY}"
                )


def best_epoch(history) -> int:
    """The epoch of the smallest distance, the first of equals; 0 where none is measured.

    Args:
        history: rows of `history.csv` as dictionaries.
    """
    measured = [row for row in history if row.get("distance") is not None]
    return min(measured, key=lambda row: row["distance"])["epoch"] if measured else 0


def checkpoint_files(run_folder) -> list[Path]:
    """The checkpoints in a run's folder, oldest first."""
    return sorted((Path(run_folder) / FOLDER).glob("step_*.npz"))


def _difference(before, now, place=""):
    """The first difference of two settings, as (place, before, now), or None.

    Dictionaries are compared in the keys that both have: versions of Keras differ in some.
    """
    if isinstance(before, dict) and isinstance(now, dict):
        pairs = [(f" {key}", before[key], now[key]) for key in now if key in before]
    elif isinstance(before, list) and isinstance(now, list):
        pairs = [
            (f" {number}", old, new)
            for number, (old, new) in enumerate(zip_longest(before, now, fillvalue="nothing"))
        ]
    else:
        return None if before == now else (place, before, now)
    found = (_difference(old, new, place + key) for key, old, new in pairs)
    return next(filter(None, found), None)


def _shown(value) -> str:
    if isinstance(value, dict):
        return value.get("kind") or value.get("class_name") or "another"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _assign(variables, arrays):
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def _sha256(arrays) -> str:
    """SHA-256 of named arrays, with their dtypes and shapes."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _optimizers(model) -> dict:
    """Kind and settings of both optimizers, whatever wraps them."""
    found = {}
    for network in NETWORKS:
        optimizer = getattr(model, f"{network}_optimizer")
        found[network] = _settings(getattr(optimizer, "inner_optimizer", optimizer))
    return found


def _layers(network) -> dict:
    """Kind and settings of the layers, without their names."""
    return {"layer": [_settings(layer) for layer in network.layers]}


def _settings(thing) -> dict:
    """The kind of a Keras object and its configuration, but for what is spared; plain JSON."""

    def chosen(value):
        if isinstance(value, dict):
            return {
                key: chosen(each)
                for key, each in value.items()
                if key not in SPARED and not key.endswith("_initializer")
            }
        return [chosen(each) for each in value] if isinstance(value, (list, tuple)) else value

    settings = {"kind": type(thing).__name__} | chosen(thing.get_config())
    return json.loads(json.dumps(settings, default=str))
