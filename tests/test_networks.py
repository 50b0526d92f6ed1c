"""Which networks a notebook works with."""

import keras
import numpy as np
import pytest

import helpers
from helpers import networks

SHAPE = (8, 8, 1)


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
        generator, discriminator, place = helpers.load_trained(run)
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
    assert helpers.load_trained(run)[2] == shipped


@pytest.mark.parametrize(("dataset", "size"), [("fashion_mnist", 28), ("mnist", 32)])
def test_shipped_pair_of_other_images_is_not_used(dataset, size, own_folder):
    save_pair(own_folder / "assets" / "trained" / "mnist-28", 1, "_trained")
    save_pair(helpers.open_run(dataset, size).folder, 2)  # untrained ones do not count
    with pytest.raises(FileNotFoundError, match=rf"{dataset} at {size} pixels; run notebook 4"):
        helpers.load_trained(helpers.open_run(dataset, size))


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
    with pytest.raises(ValueError, match="'cifar'"):
        helpers.shipped_run("cifar")
