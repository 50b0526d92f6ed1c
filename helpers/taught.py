"""Give later notebooks, tests, benchmarks and `assets/make` the code that a notebook teaches."""

import json
import linecache
from types import SimpleNamespace

from helpers.environment import ROOT
from helpers.hardware import training_options

TAG = "taught"


def taught(notebook: str) -> SimpleNamespace:
    """Run the cells of a notebook that are tagged `taught` and return the names they define.

    Args:
        notebook: file name without ending, for instance "03_architecture".

    Raises:
        FileNotFoundError: there is no such notebook.
        ValueError: the notebook has no tagged cell.
    """
    path = ROOT / "notebooks" / f"{notebook}.ipynb"
    if not path.is_file():
        raise FileNotFoundError(f"There is no notebook {path.name} in notebooks/.")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if TAG in cell["metadata"].get("tags", [])]
    if not sources:
        raise ValueError(f"{path.name} has no cell tagged {TAG!r}, so it defines nothing to share.")
    names = {"__name__": notebook}
    for number, source in enumerate(sources):
        # Known to linecache, so that error messages show the lines of the cell.
        label = f"<{path.name}, taught cell {number + 1}>"
        linecache.cache[label] = (len(source), None, source.splitlines(keepends=True), label)
        exec(compile(source, label, "exec"), names)
    return SimpleNamespace(**{k: v for k, v in names.items() if not k.startswith("__")})


def taught_model(
    image_shape,
    recipe="course",
    feature_maps=64,
    smallest_side=4,
    seed=0,
    precision="auto",
    **changes,
):
    """Lesson 4's model on lesson 3's networks, compiled as lesson 4 does it.

    It prints the line about precision that lesson 4 prints.

    Args:
        image_shape: (height, width, channels).
        recipe: of lesson 4's `RECIPES`.
        feature_maps: of the layers beside the image, in both networks.
        smallest_side: pixels, see lesson 3's `build_discriminator`.
        seed: of the latents; the networks' weights depend on Keras's own.
        precision: as lesson 4's `PRECISION`.
        changes: of the recipe's entries, `batch_size`, `learning_rate` or `memory`.

    Returns:
        The `DCGAN`, and the recipe's batch size.

    Raises:
        KeyError: there is no such recipe.
        TypeError: a change is of no entry of the recipe.
    """
    architecture, training = taught("03_architecture"), taught("04_training")
    recipe = training.RECIPES[recipe]
    if unknown := changes.keys() - recipe.keys():
        raise TypeError(f"A recipe has {', '.join(recipe)}, no {', '.join(sorted(unknown))}.")
    recipe = recipe | changes
    model = training.DCGAN(
        architecture.build_generator(image_shape, feature_maps=feature_maps),
        architecture.build_discriminator(
            image_shape, feature_maps=feature_maps, smallest_side=smallest_side
        ),
        seed=seed,
        memory=recipe["memory"],
    )
    optimizers = [training.make_optimizer(recipe["learning_rate"]) for _ in range(2)]
    model.compile(*optimizers, **training_options(model, steps_per_epoch=1, precision=precision))
    return model, recipe["batch_size"]
