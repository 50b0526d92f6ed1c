"""Which networks a notebook works with, and the builders of lesson 3."""

import ast
import inspect
import itertools
import json

import keras
import numpy as np
import pytest

import helpers
from helpers import networks
from helpers.machine import ROOT

SHAPE = (8, 8, 1)
LESSON = helpers.taught("03_architecture")


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DCGAN_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("DCGAN_PROFILE", "tiny")
    monkeypatch.setattr(networks, "ASSETS", tmp_path / "assets")  # nothing is shipped
    return tmp_path


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


@pytest.mark.parametrize("image_shape", [(28, 28, 1), (32, 32, 1), [32, 32, 3]])
def test_networks_are_built_where_none_are_saved(image_shape, capsys):
    run = helpers.open_run("mnist", image_size=image_shape[0])
    generator, discriminator = helpers.load_networks(run, image_shape)
    assert generator.output_shape == discriminator.input_shape == (None, *image_shape)
    assert discriminator.output_shape == (None, 1)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 and "built now" in lines[0]
    assert not run.folder.exists()


def test_saved_networks_are_used(capsys):
    run = helpers.open_run("mnist", name="mine")
    weights = save_pair(run.folder, seed=1)
    for model, expected in zip(helpers.load_networks(run, SHAPE), weights, strict=True):
        np.testing.assert_array_equal(model.get_weights()[0], expected)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 and "yours" in lines[0] and "runs/mine" in lines[0]


@pytest.mark.parametrize("lost", ["generator", "discriminator"])
def test_half_a_pair_is_no_reason_to_build_anew(lost):
    """A learner's own generator must not be replaced in silence."""
    run = helpers.open_run("mnist")
    save_pair(run.folder, seed=1)
    (run.folder / f"{lost}.keras").unlink()
    with pytest.raises(FileNotFoundError, match=rf"{lost}\.keras does not exist; run"):
        helpers.load_networks(run, SHAPE)


def test_saved_networks_for_other_images_are_refused():
    run = helpers.open_run("mnist", name="mine")
    save_pair(run.folder, seed=1)
    with pytest.raises(ValueError) as caught:
        helpers.load_networks(run, (28, 28, 1))
    for part in ("generator", "runs/mine", "(8, 8, 1)", "(28, 28, 1)", "notebook 3"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_trained_networks_own_before_shipped(own_folder, capsys):
    run = helpers.open_run("mnist", name="mine")
    shipped_folder = own_folder / "assets" / "trained" / "mnist-28"
    for folder, seed, word in ((shipped_folder, 1, "shipped"), (run.folder, 2, "yours")):
        weights = save_pair(folder, seed, "_trained")
        generator, discriminator, place = helpers.load_trained(run, SHAPE)
        assert place == folder
        for model, expected in zip((generator, discriminator), weights, strict=True):
            np.testing.assert_array_equal(model.get_weights()[0], expected)
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 1 and word in lines[0]


def test_half_a_trained_pair_is_not_mixed(own_folder):
    run = helpers.open_run("mnist")
    save_pair(run.folder, 1, "_trained")
    (run.folder / "discriminator_trained.keras").unlink()
    shipped = own_folder / "assets" / "trained" / "mnist-28"
    save_pair(shipped, 2, "_trained")
    assert helpers.load_trained(run, SHAPE)[2] == shipped
    with pytest.raises(FileNotFoundError, match="none are shipped for such images"):
        helpers.load_trained(run, (8, 8, 3))


@pytest.mark.parametrize(("dataset", "size"), [("fashion_mnist", 28), ("mnist", 32)])
def test_shipped_pair_of_other_images_is_not_used(dataset, size, own_folder):
    save_pair(own_folder / "assets" / "trained" / "mnist-28", 1, "_trained")
    save_pair(helpers.open_run(dataset, size).folder, 2)  # untrained ones do not count
    with pytest.raises(FileNotFoundError, match="none are shipped for such images; run notebook 4"):
        helpers.load_trained(helpers.open_run(dataset, size), SHAPE)


@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist"])
def test_shipped_run_is_fashion_where_a_set_has_none(dataset, own_folder, capsys):
    trained = own_folder / "assets" / "trained"
    (trained / "fashion_mnist-28").mkdir(parents=True)
    assert helpers.shipped_run(dataset) == trained / "fashion_mnist-28"
    printed = capsys.readouterr().out
    assert ("No training on mnist" in printed) == (dataset == "mnist")
    (trained / "mnist-28").mkdir()
    assert helpers.shipped_run(dataset) == trained / f"{dataset}-28"
    assert "No training" not in capsys.readouterr().out
    assert helpers.shipped_run("photos") == trained / "fashion_mnist-28"
    assert "No training on photos" in capsys.readouterr().out


# The builders of lesson 3.

BUILDERS = {"generator": LESSON.build_generator, "discriminator": LESSON.build_discriminator}
AUTHORS = [(64, 4), (128, 5)]  # feature maps and kernel: later Torch code, figure of the paper


def kernels(network):
    return [layer for layer in network.layers if hasattr(layer, "kernel")]


def weights_by_formula(widths, kernel):
    """Weights of convolutions from one width to the next, without biases."""
    return [kernel * kernel * before * after for before, after in itertools.pairwise(widths)]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("side", "start"), [(28, 7), (32, 4), (64, 4), (128, 4)])
@pytest.mark.parametrize("kernel", [4, 5])
def test_builders_serve_every_size(side, start, channels, kernel):
    generator = LESSON.build_generator(
        (side, side, channels), 10, feature_maps=4, kernel_size=kernel
    )
    discriminator = LESSON.build_discriminator(
        (side, side, channels), feature_maps=4, kernel_size=kernel
    )
    assert generator.input_shape == (None, 10)
    assert generator.output_shape == discriminator.input_shape == (None, side, side, channels)
    assert discriminator.output_shape == (None, 1)
    sides = [start]
    while sides[-1] < side:
        sides.append(sides[-1] * 2)
    widths = [4 * 2**level for level in range(len(sides) - 1)][::-1]  # from the start outwards
    upwards = [layer.output.shape[1:] for layer in kernels(generator)[1:]]
    assert upwards == [(s, s, w) for s, w in zip(sides[1:], [*widths[1:], channels])]
    downwards = [layer.output.shape[1:] for layer in kernels(discriminator)[:-1]]
    smaller = {28: [14, 7, 4], 32: [16, 8, 4], 64: [32, 16, 8, 4], 128: [64, 32, 16, 8, 4]}[side]
    assert downwards == [(s, s, 4 * 2**level) for level, s in enumerate(smaller)]
    assert {layer.kernel.shape[:2] for layer in kernels(generator)[1:]} == {(kernel, kernel)}
    assert {layer.kernel.shape[:2] for layer in kernels(discriminator)[:-1]} == {(kernel, kernel)}


def test_the_discriminator_may_end_sooner():
    discriminator = LESSON.build_discriminator((28, 28, 1), feature_maps=4, smallest_side=7)
    assert [layer.output.shape[1] for layer in kernels(discriminator)[:-1]] == [14, 7]


@pytest.mark.parametrize(("maps", "kernel"), AUTHORS)
def test_64_pixels_in_colour_are_the_networks_of_the_authors(maps, kernel):
    widths = [8 * maps, 4 * maps, 2 * maps, maps, 3]
    generator = LESSON.build_generator((64, 64, 3), feature_maps=maps, kernel_size=kernel)
    expected = [100 * 4 * 4 * widths[0], *weights_by_formula(widths, kernel)]
    expected[-1] += 3  # the course keeps biases where no batch normalisation follows
    assert [layer.count_params() for layer in kernels(generator)] == expected
    assert generator.count_params() == sum(expected) + 4 * sum(widths[:-1])

    discriminator = LESSON.build_discriminator((64, 64, 3), feature_maps=maps, kernel_size=kernel)
    expected = [*weights_by_formula(widths[::-1], kernel), 4 * 4 * widths[0] * 1 + 1]
    expected[0] += maps
    assert [layer.count_params() for layer in kernels(discriminator)] == expected
    assert discriminator.count_params() == sum(expected) + 4 * sum(widths[:3])


def test_the_defaults_are_those_of_the_torch_code():
    for name, build in BUILDERS.items():
        default, named = build((64, 64, 3)), build((64, 64, 3), feature_maps=64, kernel_size=4)
        assert [w.shape for w in default.weights] == [w.shape for w in named.weights], name
    # What that code trains, which has no biases, and the course's few biases.
    trained = {
        name: sum(int(np.prod(w.shape)) for w in build((64, 64, 3)).trainable_weights)
        for name, build in BUILDERS.items()
    }
    assert trained == {"generator": 3_576_704 + 3, "discriminator": 2_765_568 + 64 + 1}


@pytest.mark.parametrize("name", BUILDERS)
def test_networks_start_small_and_of_built_in_layers(name):
    network = BUILDERS[name]((64, 64, 3))
    for layer in network.layers:
        assert type(layer) is getattr(keras.layers, type(layer).__name__)
    for layer in kernels(network):
        kernel, *biases = layer.get_weights()
        assert kernel.std() == pytest.approx(0.02, rel=0.05)
        assert abs(kernel.mean()) < 4 * 0.02 / np.sqrt(kernel.size)
        assert not any(bias.any() for bias in biases)


@pytest.mark.parametrize(
    ("side", "expected"),
    [(8, (4, 1)), (14, (7, 1)), (20, (5, 2)), (48, (6, 3)), (96, (6, 4)), (256, (4, 6))],
)
def test_sizes_halve_to_4_to_7_pixels(side, expected):
    assert LESSON.count_doublings(side) == expected


@pytest.mark.parametrize(
    ("side", "product", "stop"),
    [(100, "25·2·2", 25), (36, "9·2·2", 9), (31, "31", 31), (7, "7", 7), (2, "2", 2)],
)
def test_other_sizes_are_refused_in_a_sentence(side, product, stop):
    for build in (
        LESSON.count_doublings,
        *(lambda s, b=b: b((s, s, 3)) for b in BUILDERS.values()),
    ):
        with pytest.raises(ValueError) as caught:
            build(side)
        assert str(caught.value) == (
            f"{side} pixels = {product}: halving stops at {stop}, and the networks start at 4 to 7 "
            "pixels and double; take 28, 32, 64 or 128."
        )


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
@pytest.mark.parametrize("shape", [(64, 64), (64, 28, 3)])
def test_images_that_are_not_square_are_refused(build, shape):
    with pytest.raises(ValueError, match=r"needed is \(side, side, channels\)"):
        build(shape)


# The rule for the number of feature maps, and its two users: lesson 3 and load_networks.


@pytest.mark.parametrize(
    ("profile", "side", "expected"),
    [
        ("tiny", 28, 64), ("quick", 28, 64), ("full", 28, 64),
        ("quick", 32, 64), ("quick", 64, 32), ("quick", 128, 32),
        ("tiny", 64, 64), ("full", 64, 64), ("full", 128, 64),
    ],
)  # fmt: skip
def test_default_feature_maps(profile, side, expected, monkeypatch):
    monkeypatch.setenv("DCGAN_PROFILE", profile)
    run = helpers.open_run("mnist", side)
    assert helpers.default_feature_maps(run, (side, side, 3)) == expected


def lesson_cells():
    cells = json.loads((ROOT / "notebooks" / "03_architecture.ipynb").read_text("utf-8"))["cells"]
    return [(cell["metadata"].get("tags", []), "".join(cell["source"])) for cell in cells]


def test_parameters_of_lesson_3_are_the_defaults_of_its_builders():
    """So lesson 4, opened alone, builds what lesson 3 would have saved."""
    (source,) = [source for tags, source in lesson_cells() if "parameters" in tags]
    values = {line.targets[0].id: ast.literal_eval(line.value) for line in ast.parse(source).body}
    generator, discriminator = (inspect.signature(build).parameters for build in BUILDERS.values())
    assert values["FEATURE_MAPS"] == 0
    assert values["LATENT_DIM"] == generator["latent_dim"].default
    for parameters in (generator, discriminator):
        assert values["KERNEL_SIZE"] == parameters["kernel_size"].default
    rule = "feature_maps = FEATURE_MAPS or helpers.default_feature_maps(run, image_shape)"
    assert sum(rule in source for _, source in lesson_cells()) == 1
    assert "# 0 stands for 64, or for 32 in profile quick at 64 pixels and more." in source


@pytest.mark.parametrize(("profile", "maps"), [("tiny", 64), ("quick", 32)])
def test_networks_that_are_built_follow_the_rule(profile, maps, monkeypatch):
    monkeypatch.setenv("DCGAN_PROFILE", profile)
    built = helpers.load_networks(helpers.open_run("mnist", 64), (64, 64, 3))
    for network, build in zip(built, BUILDERS.values(), strict=True):
        expected = build((64, 64, 3), feature_maps=maps)
        assert [w.shape for w in network.weights] == [w.shape for w in expected.weights]
