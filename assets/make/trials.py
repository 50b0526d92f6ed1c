"""Regenerate assets/trials: short trainings of Fashion-MNIST, two healthy ones and four failures.

    python -m assets.make.trials [NAME ...]

Each takes the 10,000 images that come with the course, the networks of lesson 3 and the recipe
`course` of lesson 4 without its noise, in float32 and with seed 0, and changes what TRIALS says. An
epoch of its history is short, so that the curves have many points.
"""

import time

import helpers  # isort: skip  before Keras, for oneDNN
import keras
import numpy as np

from assets.make.arguments import chosen
from helpers.files import save_table

STEPS, EPOCHS = 100, 12  # of an epoch; of a trial that says nothing else
FRAMES = (0, 10, 20, 40, 80, 120, 160, 240, 320, 480, 640, 800, STEPS * EPOCHS)  # steps
LEVELS = 32  # of gray, in the GIF, which gets smaller by it
TRIALS = {
    "reference": {},
    "kernel_5": {"kernel_size": 5},
    "range_0_1": {"unsigned": True},
    "dead": {"discriminator_rate": 0.0, "epochs": 8},
    "won": {"saturating": True, "discriminator_rate": 5e-3, "epochs": 8},
    "collapsed": {"generator_rate": 1e-2, "discriminator_rate": 1e-5, "epochs": 8},
}


def main():
    names = chosen(__doc__, TRIALS)
    images = helpers.load_source("fashion_mnist", whole=False)[0]["train_images"]
    for name in names:
        start = time.perf_counter()
        train(name, images, **TRIALS[name])
        print(f"{name}: {time.perf_counter() - start:.0f} s")


def train(name, images, unsigned=False, epochs=EPOCHS, **changes):
    """Train one trial and write its three files.

    Args:
        images: uint8 (N, 28, 28, 1).
        unsigned: let the batches lie in [0, 1], not in [-1, 1].
        changes: for `make_model`.
    """
    keras.utils.set_random_seed(0)
    model, batch_size = make_model(images.shape[1:], **changes)
    batches = helpers.training_batches(images, batch_size, seed=0)
    if unsigned:
        batches = batches.map(lambda batch: (batch + 1) / 2)
    film = Film()
    trained = model.fit(batches, epochs=epochs, steps_per_epoch=STEPS, callbacks=[film])
    folder = helpers.ASSETS / "trials" / name
    rows = [dict(zip(trained.history, row)) for row in zip(*trained.history.values())]
    table = [{"epoch": epoch, **row} for epoch, row in enumerate(rows, start=1)]
    save_table(folder / "history.csv", table)
    helpers.save_gif(folder / "training.gif", film.frames, frame_ms=500)
    helpers.save_png(folder / "last.png", helpers.image_grid(film.images, scale=2))


def make_model(image_shape, kernel_size=4, saturating=False, **changes):
    """The networks of lesson 3 as lesson 4 compiles them, and the batch size of its recipe.

    Args:
        changes: of the recipe's entries.
    """
    architecture, training = helpers.taught("03_architecture"), helpers.taught("04_training")
    recipe = training.RECIPES["course"] | changes

    class Saturating(training.DCGAN):
        @staticmethod
        def generator_loss(generated_logits):
            zeros = keras.ops.zeros_like(generated_logits)
            return -training.cross_entropy(zeros, generated_logits)

    kind = Saturating if saturating else training.DCGAN
    model = kind(
        architecture.build_generator(image_shape, kernel_size=kernel_size),
        architecture.build_discriminator(image_shape, kernel_size=kernel_size),
        previews=36,
        ema_decay=recipe["ema_decay"],
    )
    model.compile(
        *(
            training.make_optimizer(recipe[f"{name}_rate"], *recipe["betas"])
            for name in ("generator", "discriminator")
        ),
        **helpers.training_options(model, STEPS, precision="float32"),
    )
    return model, recipe["batch_size"]


class Film(keras.callbacks.Callback):
    """Collect the images of the fixed latents after the steps in FRAMES, as frames of a GIF."""

    def on_train_begin(self, logs=None):
        self.frames = []
        self.look(0)

    def on_train_batch_end(self, batch, logs=None):
        step = int(self.model.step)
        if step in FRAMES:
            self.look(step)

    def on_train_end(self, logs=None):
        if int(self.model.step) not in FRAMES:
            self.look(int(self.model.step))

    def look(self, step):
        self.model.estimate_statistics()
        self.images = helpers.to_uint8(self.model.preview())
        levels = np.round(self.images / 255 * (LEVELS - 1)) / (LEVELS - 1)
        grid = helpers.image_grid(np.uint8(255 * levels))
        self.frames.append(helpers.caption(grid, f"step {step:,}"))


if __name__ == "__main__":
    main()
