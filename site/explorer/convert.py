"""Make the explorer: the page, and generators as files that a browser can read.

    python site/explorer/convert.py [FILE.keras ...]

Without names it takes the generators that come with the course; with names, these and yours, such
as runs/fashion_mnist-28-quick/generator_trained.keras. The page is site/build/explorer/index.html:
open it in a browser. It needs no server and no network.

A network is a chain of steps. What Keras calls Conv2DTranspose becomes an ordinary convolution
whose output channels are moved into rows and columns: the same sums, in the order for which
WebAssembly has a fast kernel. Batch normalisation becomes a factor and an offset for each feature
map. Kernels are stored in half precision, all else in float32.
"""

import base64
import json
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

import helpers  # isort: skip  before Keras, for oneDNN
import keras
import numpy as np

from helpers.machine import ASSETS, short
from helpers.networks import flat_layers
from helpers.refused import Refused

TARGET = HERE.parent / "build" / "explorer"
SHIPPED = {
    "fashion_mnist-28/generator_trained": "Garments",
    "fashion_mnist-28/conditional_generator": "Garments to order",
    "mnist-28/generator_trained": "Digits",
    "mnist-28/conditional_generator": "Digits to order",
    "emoji-64/generator_trained": "Emoji",
}
DIRECTIONS = 6  # sliders of principal directions
ONLY_IN_TRAINING = (
    keras.layers.Dropout,
    keras.layers.SpatialDropout2D,
    keras.layers.GaussianNoise,
)
LARGEST = np.finfo(np.float16).max


def convert(network, title, class_names=()) -> dict:
    """What the page needs of a generator, as values that JSON can hold.

    Args:
        network: latents float32 (N, latent_dim), or these and labels int (N,), to images
            (N, H, W, 1 or 3) in [-1, 1].
        class_names: of a generator that takes labels; numbers where there are none.

    Raises:
        Refused: a layer that the page does not know, or a setting of one; layers that are no chain;
            or weights too large for half precision.
    """
    steps, tensors = [], []

    def keep(array):
        array = np.asarray(array, np.float32)
        if not np.abs(array).max() < LARGEST:
            raise Refused(f"{title} has weights beyond {LARGEST:g}, the end of half precision.")
        tensors.append(array.astype(np.float16) if array.ndim > 1 else array)
        return len(tensors) - 1

    def step(op, **values):
        steps.append({"op": op, **values})

    inputs = keras.layers.InputLayer
    layers = [layer for layer in flat_layers(network) if not isinstance(layer, inputs)]
    labelled = len(network.inputs) == 2
    if labelled:
        embeddings = [layer for layer in layers if isinstance(layer, keras.layers.Embedding)]
        joined = [layer for layer in layers if isinstance(layer, keras.layers.Concatenate)]
        if len(embeddings) != 1 or len(joined) != 1:
            raise Refused(f"{title} takes labels in another way than the lesson's generator does.")
        step("order", table=keep(embeddings[0].get_weights()[0]))
        classes = embeddings[0].input_dim
        class_names = list(class_names) or [str(number) for number in range(classes)]
        layers = [layer for layer in layers if layer not in embeddings + joined]
    for layer in layers:
        add_layer(layer, step, keep)
    latent_dim = network.inputs[0].shape[-1]
    latents = keras.random.normal((2, latent_dim), seed=0)
    labels = keras.ops.zeros((2,), "int32")
    x = keras.ops.concatenate([latents, embeddings[0](labels)], -1) if labelled else latents
    for layer in layers:
        x = layer(x)
    if not np.allclose(x, network([latents, labels] if labelled else latents), atol=1e-4):
        raise Refused(f"The layers of {title} are no chain; the page draws only chains.")
    directions, shares = principal_directions(layers, latent_dim)
    return {
        "title": title,
        "latents": latent_dim,
        "shape": network.output_shape[1:],
        "classes": list(class_names) if labelled else [],
        "shares": [round(float(share), 4) for share in shares],
        "directions": keep(directions),
        "steps": steps,
        **packed(tensors),
    }


def add_layer(layer, step, keep):
    """Append the steps of one layer."""
    kinds = keras.layers
    known = True
    if isinstance(layer, ONLY_IN_TRAINING):
        return
    elif isinstance(layer, kinds.Dense):
        step("dense", kernel=keep(layer.kernel))
    elif isinstance(layer, kinds.Conv2DTranspose):
        known = layer.padding == "same" and layer.output_padding is None
        (stride, other), (side, width) = layer.strides, layer.kernel_size
        known = known and stride == other and side == width and layer.dilation_rate == (1, 1)
        if known:
            step("enlarge", **enlarging(np.asarray(layer.kernel), stride, keep))
    elif isinstance(layer, kinds.Conv2D):
        known = layer.dilation_rate == (1, 1) and layer.groups == 1
        known = known and type(layer) is kinds.Conv2D
        values = {"strides": layer.strides, "padding": layer.padding}
        step("convolve", kernel=keep(layer.kernel), **values)
    elif isinstance(layer, kinds.BatchNormalization):
        deviation = np.sqrt(np.asarray(layer.moving_variance) + layer.epsilon)
        factor = (np.asarray(layer.gamma) if layer.scale else 1) / deviation
        offset = -np.asarray(layer.moving_mean) * factor
        step("multiply", by=keep(factor))
        step("add", what=keep(offset + (np.asarray(layer.beta) if layer.center else 0)))
    elif isinstance(layer, kinds.Reshape):
        step("reshape", shape=layer.target_shape)
    elif isinstance(layer, kinds.Cropping2D):
        step("crop", cropping=layer.cropping)
    elif isinstance(layer, kinds.UpSampling2D):
        known = layer.interpolation in ("nearest", "bilinear")
        step("upsample", size=layer.size, bilinear=layer.interpolation == "bilinear")
    elif isinstance(layer, kinds.ReLU):
        known = layer.max_value is None and not layer.threshold
        step("rectify", slope=float(layer.negative_slope))
    elif isinstance(layer, kinds.LeakyReLU):
        step("rectify", slope=float(layer.negative_slope))
    elif not isinstance(layer, kinds.Activation):
        known = False
    if getattr(layer, "use_bias", False):
        step("add", what=keep(layer.bias))
    activation = getattr(layer, "activation", None)
    name = activation.__name__ if activation else "linear"
    if name in ("tanh", "sigmoid"):
        step(name)
    elif name in ("relu", "leaky_relu"):
        step("rectify", slope=0.0 if name == "relu" else 0.2)
    elif name != "linear":
        known = False
    if not known:
        raise Refused(
            f"The page cannot draw with {layer.name}, a {type(layer).__name__} of these settings; "
            "site/explorer/README.md lists what it can."
        )


def enlarging(kernel, stride, keep) -> dict:
    """A transposed convolution as an ordinary one, whose channels become rows and columns.

    A row of the full output, number stride * t + a, is a sum over the input's rows t - m, with row
    a + stride * m of the kernel. So a is a channel of a convolution over the rows t - m.

    Args:
        kernel: float32 (side, side, outputs, inputs), as Keras keeps it.
    """
    side, _, outputs, inputs = kernel.shape
    taps = -(-side // stride)
    missing = taps * stride - side
    kernel = np.pad(kernel, ((0, missing), (0, missing), (0, 0), (0, 0)))
    kernel = kernel.reshape(taps, stride, taps, stride, outputs, inputs)[::-1, :, ::-1]
    kernel = kernel.transpose(0, 2, 5, 1, 3, 4).reshape(taps, taps, inputs, -1)
    return {"kernel": keep(kernel), "stride": stride, "start": max(side - stride, 0) // 2}


def principal_directions(layers, latent_dim) -> tuple[np.ndarray, np.ndarray]:
    """Where in the latent space the first layer's outputs change most (arXiv 2007.06600).

    Returns:
        The directions, float32 (DIRECTIONS or fewer, latent_dim), each of length 1, and the share
        of the outputs' variance along each.
    """
    first = next(layer for layer in layers if layer.get_weights())
    if isinstance(first, keras.layers.Dense):
        kernel = np.asarray(first.kernel)[:latent_dim]
    else:
        kernel = np.eye(latent_dim)
    directions, deviations, _ = np.linalg.svd(kernel, full_matrices=False)
    directions = directions.T[:DIRECTIONS]
    largest = np.abs(directions).argmax(axis=1)
    directions *= np.sign(directions[np.arange(len(directions)), largest])[:, None]
    return directions, (deviations**2 / np.sum(deviations**2))[:DIRECTIONS]


def packed(tensors) -> dict:
    """Arrays as one text, and where in its bytes each begins."""
    table, begin, pieces = [], 0, []
    for tensor in sorted(range(len(tensors)), key=lambda number: tensors[number].ndim > 1):
        array = tensors[tensor]  # those in float32 first, so that each begins at a multiple of 4
        table.append((tensor, {"shape": array.shape, "half": array.ndim > 1, "begin": begin}))
        pieces.append(array.tobytes())
        begin += array.nbytes
    tensors = [entry for _, entry in sorted(table, key=lambda pair: pair[0])]
    return {"tensors": tensors, "weights": base64.b64encode(b"".join(pieces)).decode()}


def class_names_beside(path):
    card = path.with_name("dataset.json")
    return json.loads(card.read_text(encoding="utf-8"))["class_names"] if card.is_file() else ()


def main(paths):
    sources = {ASSETS / "trained" / f"{name}.keras": title for name, title in SHIPPED.items()}
    sources |= {Path(path): Path(path).parent.name or Path(path).stem for path in paths}
    TARGET.mkdir(parents=True, exist_ok=True)
    listed = {}
    for path, title in sources.items():
        network = helpers.load_model(path)
        content = convert(network, title, class_names_beside(path))
        name = f"{path.parent.name}-{path.stem}"
        text = f"explorer.arrived({json.dumps(name)}, {json.dumps(content)});\n"
        (TARGET / f"{name}.js").write_text(text, encoding="utf-8")
        listed[name] = title
        print(f"{short(path)}: {len(text) / 1e6:.1f} MB")
    index = f"const generators = {json.dumps(listed, indent=1)};\n"
    (TARGET / "generators.js").write_text(index, encoding="utf-8")
    for source in ("index.html", "explorer.css", "explorer.js", "engine.js", "../vendor/tf.js"):
        shutil.copy(HERE / source, TARGET)
    print(f"Open {short(TARGET / 'index.html')} in a browser.")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (Refused, FileNotFoundError) as error:
        sys.exit(str(error))
