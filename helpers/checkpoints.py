"""A training that stops can go on: the whole state in one atomic file, after every epoch."""

import json
from itertools import zip_longest
from pathlib import Path

import keras
import numpy as np

from helpers.environment import short
from helpers.files import load_arrays, save_arrays, save_table

NETWORKS = ("generator", "discriminator")
BEHAVIOUR = (  # the settings of built-in layers that change what the same weights compute
    "activation", "axis", "epsilon", "momentum", "negative_slope", "padding", "rate", "strides",
)  # fmt: skip


class Checkpoint(keras.callbacks.Callback):
    """After each epoch, write the model's state and the history to one `.npz` file.

    Beside it goes `history.csv`, one row an epoch, always written anew from the checkpoint.

    Args:
        folder: the run's folder; the file is `checkpoint.npz` in it.
        settings: what a checkpoint must agree on to be resumed (batch size, for instance).
    """

    def __init__(self, folder, settings: dict):
        super().__init__()
        self.path = Path(folder) / "checkpoint.npz"
        self.settings = json.loads(json.dumps(settings))
        self.history = []

    def on_epoch_end(self, epoch, logs=None):
        self.history.append({"epoch": epoch + 1, **{k: float(v) for k, v in logs.items()}})
        self.save(self.model)

    def save(self, model) -> None:
        """Write the state of `model` and the history so far."""
        about = {
            "history": self.history,
            "settings": self.settings,
            "layers": {name: _layers(getattr(model, name)) for name in NETWORKS},
        }
        arrays = {
            f"{group}/{index:03d}": np.asarray(variable)
            for group, variables in model.state().items()
            for index, variable in enumerate(variables)
        }
        save_arrays(self.path, about=np.array(json.dumps(about)), **arrays)
        if self.history:
            save_table(self.path.with_name("history.csv"), self.history)

    def restore(self, model) -> int:
        """Put a saved state back, if there is one, and return the number of finished epochs.

        Raises:
            ValueError: the file is damaged, or made with other networks or settings.
        """
        if not self.path.is_file():
            return 0
        arrays = load_arrays(self.path)
        try:
            about = json.loads(str(arrays.pop("about")))
            history = about["history"]
            self._require_same(about, model, arrays)
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(
                f"{short(self.path)} is no checkpoint of this course; "
                "move it away or choose another RUN_NAME."
            ) from error
        for group, variables in model.state().items():
            for index, variable in enumerate(variables):
                variable.assign(arrays[f"{group}/{index:03d}"])
        self.history = history
        if history:
            save_table(self.path.with_name("history.csv"), history)
        return len(history)

    def _require_same(self, about, model, arrays):
        """Refuse a checkpoint of other settings or networks, naming the first difference."""
        remedy = "Choose another RUN_NAME, or set RESUME = False to start this run over."
        for name, value in self.settings.items():
            if about["settings"].get(name) != value:
                raise ValueError(
                    f"{short(self.path)} was made with {name} {about['settings'].get(name)}, now "
                    f"it is {value}. {remedy}"
                )
        for group, variables in model.state().items():
            saved = [arrays[name].shape for name in sorted(arrays) if name.startswith(f"{group}/")]
            now = [tuple(variable.shape) for variable in variables]
            if saved != now:
                old, new = next(
                    ((a, b) for a, b in zip(saved, now) if a != b),
                    (f"{len(saved)} arrays", f"{len(now)} arrays"),
                )
                raise ValueError(
                    f"{short(self.path)} belongs to another {group.split('_')[0]}: it holds {old} "
                    f"where yours has {new}. {remedy}"
                )
        for name in NETWORKS:
            yours = _layers(getattr(model, name))
            pairs = zip_longest(about["layers"][name], yours, fillvalue="nothing")
            for number, (old, new) in enumerate(pairs):
                if old != new:
                    raise ValueError(
                        f"{short(self.path)} belongs to another {name}: layer {number} was "
                        f"{old}, yours is {new}. {remedy}"
                    )


def _layers(network) -> list[str]:
    """What each layer does, without its name: a change that keeps every shape shows here."""
    return [
        " ".join(
            [type(layer).__name__]
            + [f"{key} {value}" for key, value in layer.get_config().items() if key in BEHAVIOUR]
        )
        for layer in network.layers
    ]
