"""The taught cells of a notebook, the builders of lesson 3, and whose networks a lesson gets."""

import ast
import inspect
import itertools
import json
import math
import traceback

import keras
import numpy as np
import pytest

import helpers
from helpers import networks
from helpers.machine import PROFILES, ROOT
from helpers.refused import Refused
from helpers.run import Run

SHAPE = (8, 8, 1)
LESSON = helpers.taught("03_architecture")
BUILDERS = {"generator": LESSON.build_generator, "discriminator": LESSON.build_discriminator}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run on MNIST without a file, and a course that ships no networks."""
    monkeypatch.setenv("DCGAN_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(networks, "ASSETS", tmp_path / "assets")
    folder = tmp_path / "runs" / "mine"
    return Run("mine", folder, tmp_path / "runs" / "images", "mnist", 28, 1, PROFILES["tiny"])


def save_pair(folder, seed, suffix=""):
    """Two toy networks whose weights tell them from any other; returns those weights."""
    keras.utils.set_random_seed(seed)
    layers = {
        "generator": [keras.Input((4,)), keras.layers.Dense(64), keras.layers.Reshape(SHAPE)],
        "discriminator": [keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(1)],
    }
    weights = []
    for name, stack in layers.items():
        model = keras.Sequential(stack, name=name)
        helpers.save_model(model, folder / f"{name}{suffix}.keras")
        weights.append(model.get_weights()[0])
    return weights


def assert_weights(models, expected):
    for model, weights in zip(models, expected, strict=True):
        np.testing.assert_array_equal(model.get_weights()[0], weights)


# Whose networks


def test_networks_are_built_where_none_are_saved_and_used_where_some_are(run, capsys):
    built = helpers.load_networks(run, [32, 32, 3])
    assert built[0].output_shape == built[1].input_shape == (None, 32, 32, 3)
    weights = save_pair(run.folder, seed=1)
    assert_weights(helpers.load_networks(run, SHAPE), weights)
    assert capsys.readouterr().out.splitlines() == [
        "Networks: built now with the cells of notebook 3, 64 feature maps beside the image.",
        "Networks: yours, from runs/mine.",
    ]


def test_lesson_4_builds_with_what_it_is_given_or_refuses_it(run):
    """What a learner sets there is used where networks are built, and refused where some lie."""
    generator, discriminator = helpers.load_networks(run, [28, 28, 1], 8, 5, 20)
    assert generator.input_shape == (None, 20)
    for network in (generator, discriminator):
        sizes = [layer.kernel_size for layer in network.layers if hasattr(layer, "kernel_size")]
        assert set(sizes) == {(5, 5)}
    assert discriminator.layers[1].filters == 8
    save_pair(run.folder, seed=1)
    with pytest.raises(Refused, match="^KERNEL_SIZE is 5, but this run has networks from notebook"):
        helpers.load_networks(run, SHAPE, kernel_size=5)
    with pytest.raises(Refused, match="^LATENT_DIM is -1; it is a number from 1, or 0 for"):
        helpers.load_networks(run, SHAPE, latent_dim=-1)


def test_networks_for_other_images_and_half_a_pair_are_refused(run):
    """A learner's own generator must not be replaced in silence."""
    save_pair(run.folder, seed=1)
    with pytest.raises(ValueError) as refusal:
        helpers.load_networks(run, (28, 28, 1))
    assert str(refusal.value) == (
        "The generator makes images of shape (8, 8, 1), the prepared images have (28, 28, 1); "
        "build it for these, in notebook 3."
    )
    (run.folder / "discriminator.keras").unlink()
    with pytest.raises(FileNotFoundError, match=r"discriminator\.keras does not exist; run"):
        helpers.load_networks(run, SHAPE)


def test_trained_networks_are_the_runs_own_before_the_shipped_ones_and_never_mixed(run, capsys):
    with pytest.raises(FileNotFoundError, match="^runs/mine holds no trained networks, and none"):
        helpers.load_trained(run, SHAPE)
    shipped = networks.ASSETS / "trained" / "mnist-28"
    for folder, seed in ((shipped, 1), (run.folder, 2)):
        weights = save_pair(folder, seed, "_trained")
        *models, place = helpers.load_trained(run, SHAPE)
        assert place == folder
        assert_weights(models, weights)
    assert "the shipped ones" in (lines := capsys.readouterr().out.splitlines())[0]
    assert lines[1] == "Trained networks: yours, from runs/mine."
    with pytest.raises(ValueError, match=r"\(8, 8, 1\), the prepared images have \(8, 8, 3\); run"):
        helpers.load_trained(run, (8, 8, 3))
    (run.folder / "discriminator_trained.keras").unlink()
    assert helpers.load_trained(run, SHAPE)[2] == shipped


def test_where_no_training_is_shipped_that_is_said(capsys):
    assert helpers.shipped_run("emoji").name == "emoji-64"
    assert helpers.shipped_run("photos").name == "fashion_mnist-28"
    assert "No training on photos comes with the course" in capsys.readouterr().out


# What a learner changes


def pair(latents=(4,), image=SHAPE, end=(), start=()):
    layers = keras.layers
    drawn = [keras.Input(latents), layers.Flatten(), layers.Dense(math.prod(image)), *start]
    judged = [keras.Input(SHAPE), *(end or (layers.Flatten(), layers.Dense(1)))]
    return keras.Sequential([*drawn, layers.Reshape(image)]), keras.Sequential(judged)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"latents": (1, 1, 4)}, "latents of shape (1, 1, 4), but the lessons draw vectors; begin"),
        ({"latents": (0,)}, "takes latents of 0 numbers; LATENT_DIM is at least 1"),
        ({"image": (1, 8, 8)}, "makes images of shape (1, 8, 8), the prepared images have (8, 8"),
        ({"end": [keras.layers.Conv2D(1, 3)]}, "answers with shape (6, 6, 1); needed is one logit"),
        ({"start": [keras.layers.Lambda(abs)]}, "is a Lambda layer, which Keras does not load"),
    ],
)
def test_a_pair_that_no_lesson_could_train_is_refused_in_lesson_3(changes, part):
    helpers.require_pair(*pair(), SHAPE)
    with pytest.raises(Refused) as refusal:
        helpers.require_pair(*pair(**changes), SHAPE)
    assert part in str(refusal.value)


def test_a_layer_of_ones_own_loads_where_its_class_is_registered(run):
    """And where it is not, a sentence names it and says what to do."""

    @keras.saving.register_keras_serializable("learner")
    class Twice(keras.layers.Layer):
        def call(self, inputs):
            return 2 * inputs

    generator, discriminator = pair(start=[Twice()])
    helpers.save_model(generator, run.folder / "generator.keras")
    helpers.save_model(discriminator, run.folder / "discriminator.keras")
    latents = np.ones((2, 4), np.float32)
    loaded, _ = helpers.load_networks(run, SHAPE)
    np.testing.assert_array_equal(loaded(latents), generator(latents))
    keras.saving.get_custom_objects().pop("learner>Twice")
    with pytest.raises(Refused, match="a layer of your own, Twice, .*register_keras_serializable"):
        helpers.load_networks(run, SHAPE)


# Taught cells


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A function that writes a notebook of cells, each a pair of tags and source."""
    monkeypatch.setattr(networks, "ROOT", tmp_path)
    (tmp_path / "notebooks").mkdir()

    def write(*cells):
        content = [
            {"cell_type": "code", "metadata": {"tags": tags} if tags else {}, "source": source}
            for tags, source in cells
        ]
        text = json.dumps({"cells": content}, ensure_ascii=False)
        (tmp_path / "notebooks" / "09_toy.ipynb").write_text(text, encoding="utf-8")

    return write


def test_tagged_cells_and_no_others_give_their_names_anew_at_every_call(toy):
    toy(
        ([], ["raise AssertionError('an untagged cell was executed')"]),
        (
            ["taught"],
            [
                "%%time\n",
                "BASE = 20\n",
                "\n",
                "def double(x):\n",
                "    return 2 * x\n",
                "%matplotlib inline\n",
            ],
        ),
        (["other", "taught"], "def answer():\n    return double(BASE) + 2  # é\n"),
        (["taught"], ["def fail():\n", "    raise KeyError('told by the cell')"]),
    )
    first, second = helpers.taught("09_toy"), helpers.taught("09_toy")
    assert set(vars(first)) == {"BASE", "double", "answer", "fail"}
    first.answer.__globals__["BASE"] = 0
    assert (first.answer(), second.answer()) == (2, 42)
    with pytest.raises(KeyError) as failure:
        first.fail()
    text = "".join(traceback.format_exception(failure.value))
    assert "raise KeyError('told by the cell')" in text  # the line of the cell is shown


def test_a_notebook_that_shares_nothing_is_named(toy):
    with pytest.raises(FileNotFoundError, match=r"^There is no notebook 09_toy\.ipynb in"):
        helpers.taught("09_toy")
    toy(([], "x = 1"))
    with pytest.raises(ValueError, match=r"^09_toy\.ipynb has no cell tagged 'taught'"):
        helpers.taught("09_toy")


# The builders of lesson 3


def kernels(network):
    return [layer for layer in network.layers if hasattr(layer, "kernel")]


@pytest.mark.parametrize(
    ("side", "channels", "kernel", "up", "down"),
    [
        (28, 1, 4, [4, 7, 14, 28], [14, 7, 4]),
        (64, 3, 5, [4, 8, 16, 32, 64], [32, 16, 8, 4]),
        (45, 1, 4, [3, 6, 12, 23, 45], [23, 12, 6, 3]),
    ],
)
def test_builders_serve_every_size(side, channels, kernel, up, down):
    shape = (side, side, channels)
    generator = LESSON.build_generator(shape, 10, feature_maps=4, kernel_size=kernel)
    discriminator = LESSON.build_discriminator(shape, feature_maps=4, kernel_size=kernel)
    assert generator.input_shape == (None, 10) and discriminator.output_shape == (None, 1)
    assert generator.output_shape == discriminator.input_shape == (None, *shape)
    widths = [*(4 * 2**level for level in reversed(range(len(down)))), channels]
    blocks = [layer for layer in generator.layers if isinstance(layer, keras.layers.ReLU)]
    upwards = [layer.output.shape[1:] for layer in (*blocks, generator.layers[-1])]
    assert upwards == [(s, s, width) for s, width in zip(up, widths, strict=True)]
    downwards = [layer.output.shape[1:] for layer in kernels(discriminator)[:-1]]
    assert downwards == [(s, s, 4 * 2**level) for level, s in enumerate(down)]
    sizes = {layer.kernel.shape[:2] for layer in kernels(generator)[1:]}
    assert sizes == {(kernel, kernel)}


@pytest.mark.parametrize(("maps", "kernel"), [(64, 4), (128, 5)])
def test_64_pixels_in_colour_are_the_networks_of_the_authors(maps, kernel):
    """Their later Torch code, and the figure of the paper."""
    widths = [8 * maps, 4 * maps, 2 * maps, maps, 3]
    up = [kernel**2 * before * after for before, after in itertools.pairwise(widths)]
    generator = LESSON.build_generator((64, 64, 3), feature_maps=maps, kernel_size=kernel)
    expected = [100 * 4 * 4 * widths[0], *up[:-1], up[-1] + 3]  # a bias where nothing normalises
    assert [layer.count_params() for layer in kernels(generator)] == expected
    discriminator = LESSON.build_discriminator((64, 64, 3), feature_maps=maps, kernel_size=kernel)
    first, *others = up[::-1]
    expected = [first + maps, *others, 4 * 4 * widths[0] + 1]
    assert [layer.count_params() for layer in kernels(discriminator)] == expected


@pytest.mark.parametrize("name", BUILDERS)
def test_networks_start_with_the_small_weights_of_the_paper(name):
    for layer in kernels(BUILDERS[name]((64, 64, 3))):
        kernel, *biases = layer.get_weights()
        assert kernel.std() == pytest.approx(0.02, rel=0.05)
        assert abs(kernel.mean()) < 4 * 0.02 / np.sqrt(kernel.size)
        assert not any(bias.any() for bias in biases)


def test_both_networks_may_end_sooner():
    discriminator, generator = (
        build((28, 28, 1), feature_maps=4, smallest_side=7)
        for build in (LESSON.build_discriminator, LESSON.build_generator)
    )
    assert [layer.output.shape[1] for layer in kernels(discriminator)[:-1]] == [14, 7]
    assert [layer.output.shape[1] for layer in kernels(generator)[1:]] == [14, 28]


@pytest.mark.parametrize("build", [LESSON.build_generator, LESSON.build_discriminator])
def test_sizes_that_cannot_be_made_are_refused_in_a_sentence(build):
    with pytest.raises(ValueError) as refusal:
        build((4, 4, 3))
    assert str(refusal.value) == "Images are 4 pixels wide; needed are more than 4."
    with pytest.raises(ValueError, match=r"\(64, 28, 3\); needed is \(side, side, channels\)"):
        build((64, 28, 3))


# The rule for the number of feature maps, and its two users: lesson 3 and load_networks


@pytest.mark.parametrize(
    ("profile", "side", "maps"), [("quick", 28, 64), ("quick", 64, 32), ("full", 64, 64)]
)
def test_a_laptop_gets_half_the_feature_maps_of_large_images(profile, side, maps, run):
    laptop = Run(run.name, run.folder, run.images_folder, "mnist", side, 3, PROFILES[profile])
    assert helpers.default_feature_maps(laptop, (side, side, 3)) == maps
    built = helpers.load_networks(laptop, (side, side, 3))
    for network, build in zip(built, BUILDERS.values(), strict=True):
        expected = build((side, side, 3), feature_maps=maps)
        assert [w.shape for w in network.weights] == [w.shape for w in expected.weights]


def test_parameters_of_lesson_3_are_the_defaults_of_its_builders():
    """So lesson 4, opened alone, builds what lesson 3 would have saved."""
    cells = json.loads((ROOT / "notebooks/03_architecture.ipynb").read_text("utf-8"))["cells"]
    (source,) = [
        "".join(cell["source"])
        for cell in cells
        if "parameters" in cell["metadata"].get("tags", [])
    ]
    values = {line.targets[0].id: ast.literal_eval(line.value) for line in ast.parse(source).body}
    generator, discriminator = (inspect.signature(build).parameters for build in BUILDERS.values())
    assert values["FEATURE_MAPS"] == 0
    assert values["LATENT_DIM"] == generator["latent_dim"].default
    for parameters in (generator, discriminator):
        assert values["KERNEL_SIZE"] == parameters["kernel_size"].default
