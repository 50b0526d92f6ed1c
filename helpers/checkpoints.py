"""A training that stops can go on: the whole state in one atomic file, after every epoch."""

import json
from pathlib import Path

import keras
import numpy as np

from helpers.environment import short
from helpers.files import load_arrays, save_arrays, save_table


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
        about = {"history": self.history, "settings": self.settings}
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
            history, settings = about["history"], about["settings"]
        except (KeyError, ValueError) as error:
            raise ValueError(
                f"{short(self.path)} is no checkpoint of this course; "
                "move it away or choose another RUN_NAME."
            ) from error
        self._require_same(settings, model, arrays)
        for group, variables in model.state().items():
            for index, variable in enumerate(variables):
                variable.assign(arrays[f"{group}/{index:03d}"])
        self.history = history
        if history:
            save_table(self.path.with_name("history.csv"), history)
        return len(history)

    def _require_same(self, settings, model, arrays):
        """Refuse a checkpoint of other settings or networks, naming the first difference."""
        remedy = "Choose another RUN_NAME, or set RESUME = False to start this run over."
        for name, value in self.settings.items():
            if settings.get(name) != value:
                raise ValueError(
                    f"{short(self.path)} was made with {name} {settings.get(name)}, now it is "
                    f"{value}. {remedy}"
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
