"""Feature spaces: which one a set gets, and how each describes images."""

import json
import socket
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

import helpers
from helpers.evaluation.features import circumstances, feature_space, figure, random_features
from helpers.machine import ASSETS
from tests.evaluation.toy import made_run, shapes

RANDOM_SHA256 = "44891839087f2e8af5c4437121f5f400e2476e43fb2621f8702d3377ba61a2d8"
RANDOM = "random convolutions, no labels"
GRAY = {"dataset": "mnist", "title": "MNIST", "class_names": list("0123456789")}


def shipped(dataset):
    with np.load(ASSETS / "datasets" / f"{dataset}.npz") as file:
        return dict(file)


def space_of(tmp_path, kind="", **card):
    return feature_space(made_run(tmp_path / "run"), shapes(side=28, **card), kind)


def test_a_set_with_a_shipped_classifier_gets_it(tmp_path, capsys):
    space = space_of(tmp_path, **GRAY)
    assert space.name == "the shipped MNIST classifier"
    assert space.sha256 == helpers.sha256(ASSETS / "classifiers" / "mnist.keras")
    assert space.classes == tuple("0123456789")
    assert str(space) == f"{space.name} (SHA-256 {space.sha256[:12]}…)"
    assert capsys.readouterr().out == f"Features: {space}.\n"
    arrays = shipped("mnist")
    features, probabilities = space.extract_features(arrays["test_images"])
    assert features.shape == (2000, 64) and probabilities.shape == (2000, 10)
    assert features.dtype == probabilities.dtype == np.float32 and features.min() >= 0
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert np.mean(probabilities.argmax(axis=1) == arrays["test_labels"]) >= 0.985


@pytest.mark.parametrize(
    "card",
    [
        {"labelled": False},
        GRAY | {"labelled": False},
        GRAY | {"labelled": False, "channels": 3},
        GRAY | {"dataset": "./mnist", "labelled": False},  # a folder of that name
        GRAY | {"kind": "random"},
    ],
    ids=["own", "no labels", "colour", "a folder", "asked for"],
)
def test_others_without_labels_get_random_convolutions(card, tmp_path):
    space = space_of(tmp_path, **card)
    assert space.record() == {"name": RANDOM, "sha256": RANDOM_SHA256} and space.classes is None


def test_an_unknown_space_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no feature space 'fid'; it is classifier or random"):
        space_of(tmp_path, "fid")


# InceptionV3


def see_gpus(monkeypatch, gpus):
    found = tf.config.list_physical_devices()
    see = lambda kind=None: gpus if kind == "GPU" else found  # noqa: E731
    monkeypatch.setattr(tf.config, "list_physical_devices", see)


@pytest.fixture
def inception(monkeypatch):
    """A stand-in for what Keras offers, on a machine with a GPU."""

    def build(**options):
        assert options == {"include_top": False, "pooling": "avg", "weights": "imagenet"}
        assert socket.getdefaulttimeout() == 10  # Keras sets none of its own
        image = keras.Input((None, None, 3))
        constant = keras.layers.Conv2D(4, 1, kernel_initializer="ones")
        return keras.Model(image, keras.layers.GlobalAveragePooling2D()(constant(image)))

    monkeypatch.setattr(keras.applications, "InceptionV3", build)
    see_gpus(monkeypatch, ["a GPU"])


def colour(tmp_path, count=2048, profile="full"):
    images = shapes(count, count, channels=3, labelled=False)
    return feature_space(made_run(tmp_path / "run", profile), images), images


def test_colour_gets_inception_where_there_are_gpu_and_images(tmp_path, inception):
    space, images = colour(tmp_path)
    assert space.name == "Keras's InceptionV3 of ImageNet, not that of FID"
    assert space.classes is None and len(space.sha256) == 64
    some = images.held_out_images[:60]  # more than one block
    found, probabilities = space.extract_features(some)
    assert found.shape == (60, 4) and probabilities is None
    means = helpers.normalise(some).numpy().mean(axis=(1, 2)).sum(axis=1)
    np.testing.assert_allclose(found, np.tile(means[:, None], 4), atol=0.05)
    assert socket.getdefaulttimeout() is None


def test_where_inception_does_not_pay_a_line_says_so(tmp_path, inception, monkeypatch, capsys):
    def fail(**_):
        raise OSError("no route to host\nmore")

    expected = "its 2,048 features need as many images of each kind, and there are 2,047"
    assert colour(tmp_path, 2047)[0].name == RANDOM
    assert capsys.readouterr().out.startswith(f"Not Keras's InceptionV3: {expected}.\n")
    assert colour(tmp_path, profile="quick")[0].name == RANDOM
    monkeypatch.setattr(keras.applications, "InceptionV3", fail)
    capsys.readouterr()
    assert colour(tmp_path)[0].name == RANDOM
    expected = "its weights could not be had (OSError: no route to host)"
    assert capsys.readouterr().out.startswith(f"Not Keras's InceptionV3: {expected}.\n")
    see_gpus(monkeypatch, [])
    assert colour(tmp_path)[0].name == RANDOM
    expected = "without a GPU it takes many minutes"
    assert capsys.readouterr().out.startswith(f"Not Keras's InceptionV3: {expected}.\n")


# Describing images


def test_random_features_of_any_size():
    for shape in ((8, 8, 1), (28, 28, 1), (64, 64, 3), (100, 100, 3)):
        images = np.random.default_rng(1).integers(0, 256, (5, *shape), dtype=np.uint8)
        images[0] = 128  # flat
        found = random_features(images)
        assert found.shape == (5, 64) and found.dtype == np.float32 and np.isfinite(found).all()
        assert len(np.unique(found[:, 0])) == 5


def test_gray_is_colour_with_equal_channels_in_any_company():
    gray = np.resize(shipped("mnist")["test_images"][:20], (510, 28, 28, 1))  # two blocks
    together = random_features(gray)
    alone = random_features(gray[505:].repeat(3, axis=-1))
    np.testing.assert_allclose(together[505:], alone, atol=1e-3)
    np.testing.assert_allclose(together[500:], together[:10], atol=1e-3)


@pytest.mark.parametrize("kind", ["classifier", "random"])
def test_floats_are_rounded_to_bytes_first(kind, tmp_path):
    """Real images are bytes, generated ones floats; both are described alike."""
    space = space_of(tmp_path, kind, **GRAY)
    images = shipped("mnist")["test_images"][:20]
    noise = np.random.default_rng(0).uniform(-0.4, 0.4, images.shape) / 127.5
    floats = np.clip(helpers.normalise(images) + noise, -1, 1).astype(np.float32)
    np.testing.assert_array_equal(
        space.extract_features(images)[0], space.extract_features(floats)[0]
    )


def test_images_that_cannot_be_described_are_refused(tmp_path):
    space = space_of(tmp_path, **GRAY)
    for shape in ((2, 7, 8, 1), (2, 8, 8, 3), (0, 8, 8, 1), (8, 8, 1)):
        with pytest.raises(ValueError, match="needed is") as caught:
            space.extract_features(np.zeros(shape, np.uint8))
        assert f"have shape {shape}" in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="255"):
        space.extract_features(np.full((2, 8, 8, 1), 255.0))


def test_the_random_distance_sees_what_is_wrong():
    arrays = shipped("emoji")
    real, others = arrays["test_images"][:384], arrays["train_images"][:384]
    described = random_features(real)
    floor = helpers.frechet_distance(random_features(others), described)
    random = np.random.default_rng(2)
    repeated = real.copy()
    repeated[:192] = real[0]
    for images, least in (
        (np.uint8((real[:, ::2, ::2].astype(int) + real[:, 1::2, 1::2]) // 2), 2),  # blurred
        (np.uint8(np.clip(real + random.normal(0, 30, real.shape), 0, 255)), 2),
        (real[..., ::-1], 2),
        (repeated, 2),
        (random.integers(0, 256, real.shape, np.uint8), 100),
    ):
        distance = helpers.frechet_distance(random_features(images), described)
        assert distance > least * floor > 0


# Figures


def test_a_figure_holds_its_circumstances(tmp_path):
    space = space_of(tmp_path, "random")
    record = figure(np.float32(12.5), space, 2000, np.int64(1000), seed=3)
    assert json.loads(json.dumps(record)) == record
    assert record == {
        "value": 12.5,
        "space": {"name": RANDOM, "sha256": RANDOM_SHA256},
        "real": 2000,
        "generated": 1000,
        "seed": 3,
    }
    assert circumstances(record) == (
        f"{RANDOM} (SHA-256 44891839087f…), 2,000 real and 1,000 generated images, seed 3"
    )


def test_classifiers_are_the_recorded_files():
    folder = ASSETS / "classifiers"
    recorded = json.loads((folder / "classifiers.json").read_text(encoding="utf-8"))
    assert {path.stem for path in folder.glob("*.keras")} == set(recorded)
    for dataset, about in recorded.items():
        assert about["sha256"] == helpers.sha256(folder / f"{dataset}.keras")
        assert about["test_images"] == 10_000 and about["accuracy"] >= 0.9
        with zipfile.ZipFile(folder / f"{dataset}.keras") as archive:
            written_by = json.loads(archive.read("metadata.json"))["keras_version"]
        assert written_by == about["keras"]
        assert written_by.startswith("3.13.")  # the floor: a newer file would not load in Colab
