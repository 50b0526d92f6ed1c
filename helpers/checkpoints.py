"""A training that stops can go on: its whole state in one verified file, after every epoch."""

import hashlib
import json
from itertools import zip_longest
from pathlib import Path

import keras
import numpy as np

from helpers.diagnosis import symptom
from helpers.environment import short
from helpers.files import load_arrays, save_arrays, save_table

NETWORKS = ("generator", "discriminator")
ABOUT = {"history", "settings", "optimizers", "layers", "precision", "healthy"}
BEHAVIOUR = (  # the settings of built-in layers that change what the same weights compute
    "activation", "axis", "epsilon", "momentum", "negative_slope", "padding", "rate", "strides",
)  # fmt: skip


class Checkpoint(keras.callbacks.Callback):
    """After each epoch, write the model's state and the history to one `.npz` file.

    The files are `checkpoints/step_0000468.npz`, named by the training steps taken. The newest two
    are kept, and the last one whose epoch showed no symptom (`helpers.diagnosis`). Beside the
    folder goes `history.csv`, one row an epoch, always written anew from the checkpoint.

    Args:
        folder: the run's folder.
        steps_per_epoch: training steps of one epoch.
        settings: what a checkpoint must agree on to be resumed (batch size, for instance).
    """

    def __init__(self, folder, steps_per_epoch: int, settings: dict):
        super().__init__()
        self.folder = Path(folder) / "checkpoints"
        self.steps_per_epoch = steps_per_epoch
        self.settings = json.loads(json.dumps(settings | {"steps per epoch": steps_per_epoch}))
        self.history = []
        self.healthy = None  # the name of the last file without a symptom
        self.means = None  # of an epoch that is resumed in its middle

    def on_epoch_begin(self, epoch, logs=None):
        if self.means is not None:  # `fit` has just set them back
            _assign(self.model.state()["means"], self.means)
        self.means = None

    def on_epoch_end(self, epoch, logs=None):
        self.history.append({"epoch": epoch + 1, **{k: float(v) for k, v in logs.items()}})
        self.save(self.model)

    def save(self, model) -> None:
        """Write the state of `model` and the history so far, then drop what is not kept."""
        step = int(model.step)
        path = self.folder / f"step_{step:07d}.npz"
        if not (self.history and symptom(self.history[-1])):
            self.healthy = path.name
        about = {
            "history": self.history,
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
        earlier = [other for other in self.files() if other.name < path.name]
        for other in self.files():  # of a training that this one replaces
            if other.name > path.name:
                other.unlink()
        save_arrays(path, sha256=np.array(_sha256(arrays)), **arrays)
        for other in earlier[:-1]:
            if other.name != self.healthy:
                other.unlink(missing_ok=True)
        self._save_history()

    def restore(self, model) -> int:
        """Put the newest saved state back, if there is one, and return the steps it has taken.

        A damaged file is named in a line, and the one before it is taken.

        Raises:
            ValueError: every file is damaged, or the state is of other networks or settings.
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
                damaged.append(short(path))
                continue
            if damaged:
                print(f"Damaged: {', '.join(damaged)}; taken instead: {path.name}.")
            return self._put_back(model, arrays, about, short(path))
        if damaged:
            raise ValueError(
                f"No checkpoint can be read ({', '.join(damaged)} damaged); choose another "
                "RUN_NAME, or set RESUME = False to start this run over."
            )
        return 0

    def files(self) -> list[Path]:
        """The checkpoints there are, oldest first."""
        return sorted(self.folder.glob("step_*.npz"))

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
        self.healthy = about["healthy"]
        self._save_history()
        step = int(model.step)
        if step % self.steps_per_epoch:
            self.means = groups["means"]
        return step

    def _save_history(self):
        if self.history:
            save_table(self.folder.with_name("history.csv"), self.history)

    def _require_same(self, about, model, groups, name):
        """Refuse a checkpoint of other settings or networks, naming the first difference."""
        remedy = "Choose another RUN_NAME, or set RESUME = False to start this run over."
        for setting, now in self.settings.items():
            before = about["settings"].get(setting)
            if before != now:
                raise ValueError(
                    f"{name} was made with {setting} {before}, now it is {now}. {remedy}"
                )
        for group, variables in model.state().items():
            if group == "loss_scales":  # another precision may go on with the same weights
                continue
            saved = [array.shape for array in groups.get(group, [])]
            now = [tuple(variable.shape) for variable in variables]
            if saved != now:
                old, new = next(
                    ((a, b) for a, b in zip(saved, now) if a != b),
                    (f"{len(saved)} arrays", f"{len(now)} arrays"),
                )
                raise ValueError(
                    f"{name} belongs to another {group.split('_')[0]}: it holds {old} "
                    f"where yours has {new}. {remedy}"
                )
        for network in NETWORKS:
            yours = _layers(getattr(model, network))
            pairs = zip_longest(about["layers"][network], yours, fillvalue="nothing")
            for number, (old, new) in enumerate(pairs):
                if old != new:
                    raise ValueError(
                        f"{name} belongs to another {network}: layer {number} was "
                        f"{old}, yours is {new}. {remedy}"
                    )
        for network, yours in _optimizers(model).items():
            before = about["optimizers"][network]
            for setting, now in yours.items():
                if setting in before and before[setting] != now:  # Keras versions differ in some
                    raise ValueError(
                        f"{name} was made with another optimizer of the {network}: {setting} was "
                        f"{before[setting]}, yours is {now}. {remedy}"
                    )


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
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        found[network] = {"kind": type(optimizer).__name__} | optimizer.get_config()
        del found[network]["name"]  # Keras numbers them
    return json.loads(json.dumps(found, default=str))


def _layers(network) -> list[str]:
    """What each layer does, without its name: a change that keeps every shape shows here."""
    return [
        " ".join(
            [type(layer).__name__]
            + [f"{key} {value}" for key, value in layer.get_config().items() if key in BEHAVIOUR]
        )
        for layer in network.layers
    ]
