"""Keras callbacks of notebook 4: pictures, copies on Drive, and a stop at NaN."""

import math
import time
from pathlib import Path

import keras
import numpy as np
from IPython import get_ipython
from IPython.display import display

from helpers.drive import save_run
from helpers.environment import short
from helpers.files import replacing
from helpers.pictures import image_grid, png
from helpers.pipeline import to_uint8


class Previews(keras.callbacks.Callback):
    """Save the images of the preview latents after each epoch, and show them in place.

    Files are `previews/epoch_0007.npy` in the run's folder, uint8 (previews, H, W, C); epoch 0 is
    the untrained generator.
    """

    def __init__(self, folder):
        super().__init__()
        self.folder = Path(folder) / "previews"
        self.shown = None
        self.started = False

    def on_train_begin(self, logs=None):
        self.started = False

    def on_epoch_begin(self, epoch, logs=None):
        if not self.started:  # the state that this training starts from
            self.draw(epoch)
        self.started = True

    def on_epoch_end(self, epoch, logs=None):
        self.draw(epoch + 1)

    def draw(self, epoch):
        images = to_uint8(self.model.preview())
        with replacing(self.folder / f"epoch_{epoch:04d}.npy") as partial:
            np.save(partial, images)
        if get_ipython() is None:  # a script has no cell to show it in
            return
        picture = png(image_grid(images, scale=2 if images.shape[1] < 64 else 1))
        if self.shown is None:
            self.shown = display(picture, display_id=True)
        else:
            self.shown.update(picture)


def load_previews(folder, epochs: int) -> np.ndarray:
    """The saved previews of epochs 0 to `epochs`, uint8 (epochs + 1, previews, H, W, C).

    Raises:
        FileNotFoundError: the picture of an epoch is missing.
    """
    frames = []
    for epoch in range(epochs + 1):
        path = Path(folder) / "previews" / f"epoch_{epoch:04d}.npy"
        if not path.is_file():
            raise FileNotFoundError(
                f"{short(path)} is missing, so the GIF would have a gap; train this run again with "
                "RESUME = False or choose another RUN_NAME."
            )
        try:
            frames.append(np.load(path))
        except (ValueError, EOFError) as error:
            raise ValueError(
                f"{short(path)} is damaged; train this run again with RESUME = False."
            ) from error
    return np.stack(frames)


class SaveToDrive(keras.callbacks.Callback):
    """Copy the run to its archive after an epoch, at most every two minutes, if it has one."""

    SECONDS = 120

    def __init__(self, run):
        super().__init__()
        self.run = run

    def on_train_begin(self, logs=None):
        self.saved = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        if time.monotonic() - self.saved >= self.SECONDS:
            save_run(self.run)
            self.saved = time.monotonic()


class StopAtNaN(keras.callbacks.Callback):
    """End the training at the first step whose loss is not a finite number.

    The checkpoint of the last finished epoch stays as it is.

    Raises:
        FloatingPointError: from `fit`; names the loss and the step and says what to try.
    """

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        for name, value in logs.items():
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"{name} became {value} at step {batch + 1} of epoch {self.epoch + 1}. The "
                    "last finished epoch is saved. Try a smaller learning rate, and check that the "
                    "images lie in [-1, 1]."
                )
