"""From noise to pictures: the images of the same latents, again and again while they grow."""

from pathlib import Path

import keras
import numpy as np

from helpers.data.images import normalise
from helpers.files import atomic_write
from helpers.machine import short
from helpers.plots import to_uint8
from helpers.refused import Refused
from helpers.run import PREVIEWS


class Previews(keras.callbacks.Callback):
    """Save the images of the fixed latents, and log how much they vary.

    They are saved after 0, 10, 20, 40, … steps of the first epoch, in which noise becomes pictures,
    and after each epoch. Files are `previews/step_0000040.npy` in the run's folder, uint8
    (previews, H, W, C). `pixel_std` is the standard deviation over the images of an epoch, averaged
    over the pixels, as a share of the training images'.

    Raises:
        Refused: from `fit`; the generator's images are no images.
    """

    def __init__(self, run, images):
        super().__init__()
        self.folder, images = run.folder / PREVIEWS, images.train_images
        self.real_std = _pixel_std(evenly(images, min(1000, len(images))))

    def on_train_begin(self, logs=None):
        self.early = [step for step in early_steps(self.params["steps"]) if step > self.step()]
        self.save()

    def on_train_batch_end(self, batch, logs=None):
        if self.early and self.step() >= self.early[0]:  # a little later on a GPU
            self.save()
            self.early = [step for step in self.early if step > self.step()]

    def on_epoch_end(self, epoch, logs=None):
        self.save()
        logs["pixel_std"] = _pixel_std(self.images) / self.real_std

    def save(self):
        self.model.estimate_statistics()
        self.images = as_pictures(self.model.preview())
        with atomic_write(_preview_file(self.folder, self.step())) as partial:
            np.save(partial, self.images)

    def step(self):
        return int(self.model.step.numpy())


def early_steps(steps_per_epoch: int) -> list[int]:
    """The steps of the first epoch after which there are previews: 0, 10, 20, 40, …"""
    steps = [0, 10]
    while 2 * steps[-1] < steps_per_epoch:
        steps.append(2 * steps[-1])
    return [step for step in steps if step < steps_per_epoch]


def _preview_file(folder, step):
    return folder / f"step_{step:07d}.npy"


def as_pictures(images) -> np.ndarray:
    """What a generator returns as uint8 (N, H, W, C); refuses what no picture can be made of."""
    try:
        return to_uint8(images)
    except ValueError as error:
        raise Refused(
            f"The generator's pixels lie between {np.min(images):g} and {np.max(images):g}; needed "
            "is [-1, 1], so end it with tanh (lesson 3), or if these are no numbers, lower the "
            "learning rates. The last finished epoch is saved."
        ) from error


def _pixel_std(images) -> float:
    return max(float(normalise(images).numpy().std(axis=0).mean()), 1e-6)


def load_previews(folder, steps_per_epoch: int, epochs: int, best: int = 0):
    """Previews from noise to pictures: steps of the first epoch, then epochs, ever more seldom.

    Args:
        folder: the run's.
        epochs: that are finished.
        best: an epoch that comes once more at the end, 0 for none.

    Returns:
        Labels such as "step 40", "epoch 3" and "best: epoch 9"; images uint8 (labels, previews, H,
        W, C).

    Raises:
        Refused: no epoch is finished.
        ValueError: the file of a step is missing or damaged.
    """
    if not epochs:
        raise Refused("No epoch is finished yet; run the training cell until one is.")
    folder = Path(folder) / PREVIEWS
    early = sorted(int(path.stem.removeprefix("step_")) for path in folder.glob("step_*.npy"))
    steps = {f"step {step}": step for step in [0, *early[1:]] if step < steps_per_epoch}
    epoch = 1
    while epoch < epochs:
        steps[f"epoch {epoch}"] = epoch * steps_per_epoch
        epoch = max(epoch + 1, round(1.25 * epoch))
    steps[f"epoch {epochs}"] = epochs * steps_per_epoch
    if best:
        steps[f"best: epoch {best}"] = best * steps_per_epoch
    images = []
    for step in steps.values():
        path = _preview_file(folder, step)
        try:
            images.append(np.load(path))
        except Exception as error:  # NumPy and zipfile raise many kinds for a bad file
            raise ValueError(
                f"{short(path)} is missing or damaged, so the GIF would have a gap; train this run "
                "again with RESUME = False, or choose another RUN_NAME."
            ) from error
    return list(steps), np.stack(images)


def evenly(images, count):
    """`count` of the images, evenly spaced, so of all classes however they are stored."""
    return images[np.linspace(0, len(images) - 1, count).astype(int)]
