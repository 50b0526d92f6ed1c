"""Which networks a notebook works with: the learner's, new ones, or the shipped ones."""

import json
import linecache
import re
from pathlib import Path
from types import SimpleNamespace

import keras

from helpers.data.sources import SOURCES
from helpers.files import load_model
from helpers.machine import ASSETS, ROOT, short
from helpers.refused import Refused


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
    sources = [
        "".join(cell["source"]) for cell in cells if "taught" in cell["metadata"].get("tags", [])
    ]
    if not sources:
        raise ValueError(f"{path.name} has no cell tagged 'taught', so it shares nothing.")
    names = {"__name__": notebook}
    for number, source in enumerate(sources):
        # Known to linecache, so that error messages show the lines of the cell.
        label = f"<{path.name}, taught cell {number + 1}>"
        source = re.sub(r"(?m)^[%!].*", "", source)  # magics are for a notebook
        linecache.cache[label] = (len(source), None, source.splitlines(keepends=True), label)
        exec(compile(source, label, "exec"), names)
    return SimpleNamespace(**{k: v for k, v in names.items() if not k.startswith("__")})


def default_feature_maps(run, image_shape) -> int:
    """How many feature maps the layers beside the image get where the learner names no number.

    It is the 64 of the DCGAN authors' Torch code, and half of it where profile `quick` trains on
    64 pixels or more: halving takes about three quarters off the arithmetic.

    Args:
        image_shape: (height, width, channels) of the prepared images.
    """
    return 32 if run.profile.name == "quick" and image_shape[0] >= 64 else 64


def load_networks(
    run, image_shape, feature_maps: int = 0, kernel_size: int = 0, latent_dim: int = 0
) -> tuple[keras.Model, keras.Model]:
    """The untrained generator and discriminator of a run; says in one line whose they are.

    They are the files of notebook 3, or where there is none, built by notebook 3's cells.

    Args:
        image_shape: (height, width, channels) of the prepared images.
        feature_maps, kernel_size, latent_dim: of networks that are built now; 0 takes notebook 3's
            defaults.

    Raises:
        Refused: one of these, and there are files of notebook 3; or one is negative; or what
            `require_pair` refuses.
    """
    image_shape = tuple(image_shape)
    given = {"FEATURE_MAPS": feature_maps, "KERNEL_SIZE": kernel_size, "LATENT_DIM": latent_dim}
    for name, value in given.items():
        if value < 0:
            raise Refused(f"{name} is {value}; it is a number from 1, or 0 for notebook 3's.")
    paths = [run.folder / f"{name}.keras" for name in ("generator", "discriminator")]
    if not any(path.is_file() for path in paths):
        architecture = taught("03_architecture")
        common = {"feature_maps": feature_maps or default_feature_maps(run, image_shape)}
        common |= {"kernel_size": kernel_size} if kernel_size else {}
        latents = {"latent_dim": latent_dim} if latent_dim else {}
        print(
            "Networks: built now with the cells of notebook 3, "
            f"{common['feature_maps']} feature maps beside the image."
        )
        return (
            architecture.build_generator(image_shape, **common, **latents),
            architecture.build_discriminator(image_shape, **common),
        )
    if any(given.values()):
        name, value = next((name, value) for name, value in given.items() if value)
        raise Refused(
            f"{name} is {value}, but this run has networks from notebook 3 already; set it to 0 to "
            "train those, or change it in notebook 3 and run that again."
        )
    generator, discriminator = (load_model(path) for path in paths)
    require_pair(generator, discriminator, image_shape)
    print(f"Networks: yours, from {short(run.folder)}.")
    return generator, discriminator


def shipped_run(dataset: str) -> Path:
    """The folder of the course's own training on a data set; says which is shown.

    Where none is shipped for that set, it is Fashion-MNIST's.
    """
    source = SOURCES.get(dataset)
    folder = ASSETS / "trained" / f"{dataset}-{source.size if source else 0}"
    if not folder.is_dir():
        print(f"No training on {dataset} comes with the course, so you see Fashion-MNIST.")
        folder = ASSETS / "trained" / "fashion_mnist-28"
    print(f"Trained networks: the shipped ones, from {short(folder)}.")
    return folder


def require_pair(generator, discriminator, image_shape) -> None:
    """Say in one sentence why two networks cannot be trained on such images.

    Args:
        image_shape: (height, width, channels) of the prepared images.

    Raises:
        Refused: latents are no vectors, or empty, images have another shape, there is not one
            logit for an image, or a layer is a Lambda.
    """
    image_shape, latents = tuple(image_shape), generator.input_shape[1:]
    for who, does, shape in (
        ("generator", "makes", generator.output_shape[1:]),
        ("discriminator", "takes", discriminator.input_shape[1:]),
    ):
        if shape != image_shape:
            raise Refused(
                f"The {who} {does} images of shape {shape}, the prepared images have "
                f"{image_shape}; build it for these, in notebook 3."
            )
    if len(latents) != 1:
        raise Refused(
            f"The generator takes latents of shape {latents}, but the lessons draw vectors; begin "
            f"it with keras.Input(({latents[-1]},)) and layers.Reshape({latents})."
        )
    if latents == (0,):
        raise Refused("The generator takes latents of 0 numbers; LATENT_DIM is at least 1.")
    if discriminator.output_shape[1:] != (1,):
        raise Refused(
            f"The discriminator answers with shape {discriminator.output_shape[1:]}; needed is one "
            "logit for an image, so end it with layers.Flatten() and layers.Dense(1)."
        )
    for network in (generator, discriminator):
        for layer in flat_layers(network):
            if isinstance(layer, keras.layers.Lambda):
                raise Refused(
                    f"{layer.name} is a Lambda layer, which Keras does not load again; write a "
                    "class of layers.Layer under @keras.saving.register_keras_serializable()."
                )


def flat_layers(network):
    """All layers, those of networks inside it included, in the order of the data."""
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            yield from flat_layers(layer)
        else:
            yield layer


def with_labels(first, labels):
    """What a network is called with: latents or images alone, or with labels int (N,)."""
    return first if labels is None else [first, keras.ops.convert_to_tensor(labels, "int32")]


def load_trained(run, image_shape) -> tuple[keras.Model, keras.Model, Path]:
    """The trained generator and discriminator for a run, and the folder they came from.

    They are the run's own, or where it has none, the shipped pair of the same images.

    Args:
        image_shape: (height, width, channels) of the prepared images.

    Raises:
        FileNotFoundError: neither exists.
        Refused: the run's own are for images of another shape.
    """
    names = ("generator_trained.keras", "discriminator_trained.keras")
    places = [(run.folder, "yours")]
    if run.dataset in SOURCES:
        shipped = ASSETS / "trained" / f"{run.dataset}-{run.image_size}"
        places.append((shipped, "the shipped ones"))
    for folder, whose in places:
        if not all((folder / name).is_file() for name in names):
            continue
        generator, discriminator = (load_model(folder / name) for name in names)
        if generator.output_shape[1:] == tuple(image_shape):
            print(f"Trained networks: {whose}, from {short(folder)}.")
            return generator, discriminator, folder
        if folder == run.folder:
            raise Refused(
                f"The trained networks in {short(folder)} make images of shape "
                f"{generator.output_shape[1:]}, the prepared images have {tuple(image_shape)}; run "
                "notebook 4 again."
            )
    raise FileNotFoundError(
        f"{short(run.folder)} holds no trained networks, and none are shipped for such images; run "
        "notebook 4 with the same parameters first."
    )
