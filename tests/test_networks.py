"""Which networks a notebook works with, and the shipped classifiers."""

import json
import zipfile

import keras
import numpy as np
import pytest

import helpers
from helpers import networks
from helpers.environment import ASSETS

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


# Classifiers.


@pytest.mark.parametrize(("dataset", "least"), [("fashion_mnist", 0.9), ("mnist", 0.985)])
def test_classifier_judges_held_out_images(dataset, least, monkeypatch):
    monkeypatch.setattr(networks, "ASSETS", ASSETS)
    arrays, _ = helpers.load_source(dataset, whole=False)
    features, probabilities = helpers.classify(dataset, arrays["test_images"])
    assert features.shape == (2000, 64) and probabilities.shape == (2000, 10)
    assert features.dtype == probabilities.dtype == np.float32
    assert features.min() >= 0 and features.std() > 0.1
    assert probabilities.min() >= 0
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert np.mean(probabilities.argmax(axis=1) == arrays["test_labels"]) >= least


def test_classifier_treats_bytes_and_floats_alike(monkeypatch):
    monkeypatch.setattr(networks, "ASSETS", ASSETS)
    images = helpers.load_source("mnist", whole=False)[0]["test_images"][:20]
    from_bytes = helpers.classify("mnist", images)
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, images.shape) / 127.5
    floats = np.clip(helpers.normalise(images) + noise, -1, 1)
    for expected, found in zip(from_bytes, helpers.classify("mnist", floats), strict=True):
        np.testing.assert_array_equal(expected, found)
    larger = helpers.classify("mnist", helpers.resize(images, 32))[1]
    assert np.mean(larger.argmax(1) == from_bytes[1].argmax(1)) >= 0.9


def test_classifiers_are_the_recorded_files():
    folder = ASSETS / "classifiers"
    recorded = json.loads((folder / "classifiers.json").read_text(encoding="utf-8"))
    assert set(recorded) == set(helpers.SOURCES)
    for dataset, least in (("fashion_mnist", 0.9), ("mnist", 0.985)):
        path = folder / f"{dataset}.keras"
        assert recorded[dataset]["sha256"] == helpers.sha256(path)
        assert recorded[dataset]["test_images"] == 10_000
        assert recorded[dataset]["accuracy"] >= least
        with zipfile.ZipFile(path) as archive:
            written_by = json.loads(archive.read("metadata.json"))["keras_version"]
        assert written_by == recorded[dataset]["keras"]
        assert written_by.startswith("3.13.")  # the floor: a newer file would not load in Colab
