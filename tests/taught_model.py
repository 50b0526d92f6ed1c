"""Lesson 4's model on lesson 3's networks, for tests and benchmarks; also with labels."""

import numpy as np

from helpers import taught, training_options


def taught_model(
    image_shape,
    recipe="course",
    feature_maps=64,
    smallest_side=4,
    seed=0,
    precision="auto",
    way=None,
    max_shift=0,
    **changes,
):
    """Lesson 4's model on lesson 3's networks, compiled as lesson 4 does it.

    It prints the line about precision that lesson 4 prints.

    Args:
        image_shape: (height, width, channels).
        recipe: of lesson 4's `RECIPES`.
        feature_maps: of the layers beside the image, in both networks.
        smallest_side: pixels, see lesson 3's `halvings`.
        seed: of the latents; the networks' weights depend on Keras's own.
        precision: as lesson 4's `PRECISION`.
        way: a discriminator of `notebooks/further/choose.ipynb`; then it is that lesson's model of
            ten classes, with its recipe instead of `recipe`.
        max_shift: pixels, as lesson 4 has where there are few images.
        changes: of the recipe's entries, such as `batch_size`.

    Returns:
        The `DCGAN`, and the recipe's batch size.

    Raises:
        KeyError: there is no such recipe.
        TypeError: a change is of no entry of the recipe.
    """
    architecture, training = taught("03_architecture"), taught("04_training")
    choose = taught("further/choose") if way else None
    recipe = choose.RECIPE if way else training.RECIPES[recipe]
    if unknown := changes.keys() - recipe.keys():
        raise TypeError(f"A recipe has {', '.join(recipe)}, no {', '.join(sorted(unknown))}.")
    recipe = recipe | changes
    options = {"seed": seed, "max_shift": max_shift}
    options |= {name: recipe[name] for name in ("ema_decay", "noise")}
    if way:
        generator = choose.build_generator(image_shape, 10, feature_maps=feature_maps)
        discriminator = choose.WAYS[way](image_shape, 10, feature_maps)
        labels = np.arange(10).repeat(8)
        model = choose.ConditionalDCGAN(generator, discriminator, labels=labels, **options)
    else:
        networks = (
            build(image_shape, feature_maps=feature_maps, smallest_side=smallest_side)
            for build in (architecture.build_generator, architecture.build_discriminator)
        )
        model = training.DCGAN(*networks, **options)
    return compiled(model, recipe, precision), recipe["batch_size"]


def compiled(model, recipe, precision="auto"):
    """This untrained model, compiled with such a recipe as lesson 4 does it."""
    optimizers = (
        taught("04_training").make_optimizer(recipe[f"{name}_rate"], *recipe["betas"])
        for name in ("generator", "discriminator")
    )
    model.compile(*optimizers, **training_options(model, steps_per_epoch=1, precision=precision))
    return model
