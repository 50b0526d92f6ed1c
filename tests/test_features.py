"""Feature spaces: the shipped classifiers, and random convolutions for everything else."""

import json
import zipfile

import numpy as np
import papermill
import pytest
from lessons import NOTEBOOKS, RUN, printed

import helpers
from helpers import features
from helpers.environment import ASSETS
from helpers.files import load_arrays, save_arrays

RANDOM_SHA256 = "44891839087f2e8af5c4437121f5f400e2476e43fb2621f8702d3377ba61a2d8"
FASHION = {
    "dataset": "fashion_mnist",
    "title": "Fashion-MNIST",
    "image_shape": [28, 28, 1],
    "labelled": True,
    "class_names": list(helpers.SOURCES["fashion_mnist"].class_names),
}
EMOJI = {
    "dataset": "emoji",
    "title": "Emoji",
    "image_shape": [64, 64, 3],
    "class_names": ["all images"],
    "labelled": False,
}


def shipped(dataset):
    return load_arrays(ASSETS / "datasets" / f"{dataset}.npz")


# Which space


def test_a_set_with_a_classifier_gets_it():
    space = helpers.feature_space(FASHION)
    assert space.name == "the shipped Fashion-MNIST classifier"
    assert space.sha256 == helpers.sha256(ASSETS / "classifiers" / "fashion_mnist.keras")
    assert space.classes == tuple(FASHION["class_names"])
    images = shipped("fashion_mnist")["test_images"][:30]
    for found, expected in zip(space.describe(images), helpers.classify("fashion_mnist", images)):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "card",
    [
        EMOJI,
        FASHION | {"labelled": False},
        FASHION | {"dataset": "./mnist"},  # a folder of that name
        FASHION | {"image_shape": [28, 28, 3]},
        FASHION | {"dataset": "folder"},
    ],
    ids=["emoji", "no labels", "a folder", "colour", "no classifier"],
)
def test_every_other_set_gets_random_convolutions(card):
    space = helpers.feature_space(card)
    assert space.name == "random convolutions, no labels"
    assert space.classes is None
    assert space == helpers.feature_space(EMOJI) != helpers.feature_space(FASHION)
    images = np.random.default_rng(0).integers(0, 256, (3, *card["image_shape"]), dtype=np.uint8)
    found, probabilities = space.describe(images)
    assert found.shape == (3, 64) and probabilities is None


def test_a_model_is_read_once(monkeypatch):
    reads = []
    load = features.load_model
    monkeypatch.setattr(features, "load_model", lambda path: reads.append(path) or load(path))
    features._classifier.cache_clear()
    images = np.zeros((2, 28, 28, 1), np.uint8)
    for _ in range(3):
        helpers.feature_space(FASHION).describe(images)
    assert len(reads) == 1


# Random convolutions


def test_random_weights_are_the_same_everywhere():
    """Distances in this space are compared across machines and versions."""
    assert helpers.feature_space(EMOJI).sha256 == RANDOM_SHA256
    for kernel in features._random_kernels():
        assert kernel.dtype == np.float32 and np.isfinite(kernel).all()


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (64, 64, 3), (9, 13, 3), (100, 100, 3)])
def test_random_features_of_any_size(shape):
    images = np.random.default_rng(1).integers(0, 256, (5, *shape), dtype=np.uint8)
    found = features.random_features(images)
    assert found.shape == (5, 64) and found.dtype == np.float32
    assert np.isfinite(found).all()
    assert len(np.unique(found[:, 0])) == 5


def test_random_features_of_flat_images_are_finite():
    images = np.stack([np.full((16, 16, 3), value, np.uint8) for value in (0, 128, 255)])
    assert np.isfinite(features.random_features(images)).all()


def test_gray_is_colour_with_equal_channels():
    gray = shipped("mnist")["test_images"][:5]
    colour = gray.repeat(3, axis=-1)
    np.testing.assert_array_equal(features.random_features(gray), features.random_features(colour))


def test_an_image_is_described_alike_in_any_company(monkeypatch):
    images = shipped("emoji")["test_images"][:23]
    together = features.random_features(images)
    monkeypatch.setattr(features, "_BLOCK", 4)
    np.testing.assert_allclose(features.random_features(images), together, atol=1e-3)
    np.testing.assert_allclose(features.random_features(images[::-1])[::-1], together, atol=1e-3)


def test_random_features_treat_bytes_and_floats_alike():
    images = shipped("emoji")["test_images"][:5]
    floats = helpers.normalise(images).numpy()
    np.testing.assert_array_equal(
        features.random_features(images), features.random_features(floats)
    )


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 7, 8, 1), np.uint8),
        np.zeros((2, 8, 8, 2), np.uint8),
        np.zeros((0, 8, 8, 1), np.uint8),
        np.zeros((8, 8, 1), np.uint8),
        np.full((2, 8, 8, 1), 255.0),
        np.full((2, 8, 8, 1), np.nan),
    ],
    ids=["small", "channels", "none", "rank", "range", "nan"],
)
def test_images_that_cannot_be_described_are_refused(images):
    with pytest.raises(ValueError, match="needed is") as caught:
        helpers.feature_space(EMOJI).describe(images)
    assert "\n" not in str(caught.value)


def blurred(images):
    x = np.pad(images.astype(float), ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    height, width = images.shape[1:3]
    mean = sum(x[:, i : i + height, j : j + width] for i in range(3) for j in range(3)) / 9
    return np.uint8(np.round(mean))


def damaged(images):
    """Ways in which generated images are worse than real ones, and the least ratio to the floor."""
    random = np.random.default_rng(2)
    yield "blur", blurred(images), 2.5
    noise = random.normal(0, 30, images.shape)
    yield "noise", np.uint8(np.clip(images + noise, 0, 255)), 2.5
    if images.shape[-1] == 3:
        yield "channels swapped", images[..., ::-1], 2.5
    half = images.copy()
    half[: len(half) // 2] = images[0]
    yield "half of them one image", half, 2.5
    generator = helpers.taught("03_architecture").build_generator(images.shape[1:])
    latents = random.standard_normal((len(images), 100)).astype(np.float32)
    untrained = generator.predict(latents, batch_size=100, verbose=0)
    yield "an untrained generator", helpers.to_uint8(untrained), 100


@pytest.mark.parametrize("dataset", ["emoji", "fashion_mnist"])
def test_the_distance_rises_above_the_floor(dataset):
    arrays = shipped(dataset)
    count = 384
    order = np.random.default_rng(3).permutation(len(arrays["train_images"]))[:count]
    real = arrays["test_images"][:count]
    described = features.random_features(real)
    floor = helpers.frechet_distance(
        features.random_features(arrays["train_images"][order]), described
    )
    assert floor > 0
    for name, images, least in damaged(real):
        distance = helpers.frechet_distance(features.random_features(images), described)
        assert distance > least * floor, (name, distance / floor)


# Classifiers


@pytest.mark.parametrize(("dataset", "least"), [("fashion_mnist", 0.9), ("mnist", 0.985)])
def test_classifier_judges_held_out_images(dataset, least):
    arrays = shipped(dataset)
    found, probabilities = helpers.classify(dataset, arrays["test_images"])
    assert found.shape == (2000, 64) and probabilities.shape == (2000, 10)
    assert found.dtype == probabilities.dtype == np.float32
    assert found.min() >= 0 and found.std() > 0.1
    assert probabilities.min() >= 0
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert np.mean(probabilities.argmax(axis=1) == arrays["test_labels"]) >= least


def test_classifier_treats_bytes_and_floats_alike():
    images = shipped("mnist")["test_images"][:20]
    from_bytes = helpers.classify("mnist", images)
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, images.shape) / 127.5
    floats = np.clip(helpers.normalise(images) + noise, -1, 1)
    for expected, found in zip(from_bytes, helpers.classify("mnist", floats), strict=True):
        np.testing.assert_array_equal(expected, found)
    larger = helpers.classify("mnist", helpers.resize(images, 32))[1]
    assert np.mean(larger.argmax(1) == from_bytes[1].argmax(1)) >= 0.9


def test_classifier_refuses_colour_and_sets_without_one():
    with pytest.raises(ValueError, match=r"\(2, 28, 28, 3\); needed is"):
        helpers.classify("mnist", np.zeros((2, 28, 28, 3), np.uint8))
    with pytest.raises(FileNotFoundError, match=r"emoji\.keras does not exist"):
        helpers.classify("emoji", np.zeros((2, 28, 28, 1), np.uint8))


def test_classifiers_are_the_recorded_files():
    folder = ASSETS / "classifiers"
    recorded = json.loads((folder / "classifiers.json").read_text(encoding="utf-8"))
    assert {path.stem for path in folder.glob("*.keras")} == set(recorded)
    assert set(recorded) == {"fashion_mnist", "mnist"}
    for dataset, least in (("fashion_mnist", 0.9), ("mnist", 0.985)):
        path = folder / f"{dataset}.keras"
        assert recorded[dataset]["sha256"] == helpers.sha256(path)
        assert recorded[dataset]["test_images"] == 10_000
        assert recorded[dataset]["accuracy"] >= least
        with zipfile.ZipFile(path) as archive:
            written_by = json.loads(archive.read("metadata.json"))["keras_version"]
        assert written_by == recorded[dataset]["keras"]
        assert written_by.startswith("3.13.")  # the floor: a newer file would not load in Colab


# Lesson 5


def test_lesson_5_scores_few_images_without_labels(tmp_path, monkeypatch):
    """Thirty held-out images, no labels, augmented: one line for each, and nothing raises."""
    monkeypatch.setenv("DCGAN_RUNS", str(tmp_path))
    monkeypatch.setenv("DCGAN_PROFILE", "tiny")
    run = helpers.open_run("fashion_mnist")
    images = helpers.prepare(run)
    arrays = {
        "train_images": images.train_images,
        "train_labels": images.train_labels * 0,
        "test_images": images.test_images[:30],
        "test_labels": images.test_labels[:30] * 0,
    }
    save_arrays(run.folder / "images.npz", **arrays)
    card = images.card | {"labelled": False, "class_names": ["all images"], "augmented": True}
    helpers.save_json(run.folder / "dataset.json", card)
    executed = papermill.execute_notebook(
        NOTEBOOKS / "05_evaluation.ipynb",
        None,
        cwd=NOTEBOOKS,
        kernel_name="python3",
        progress_bar=False,
    )
    text = printed(executed)
    for line in ("No classifier is shipped", "Fewer images than the 64 features", "Not valid"):
        assert text.count(line) == 1, line
    assert "confidence" not in text and "classes found" not in text
    metrics = json.loads((tmp_path / RUN / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["class_shares"] is metrics["mean_confidence"] is None
    assert metrics["feature_space"] == {
        "name": "random convolutions, no labels",
        "sha256": RANDOM_SHA256,
    }
    assert metrics["images_each"] == 30 and metrics["frechet_distance"] > 0
    assert metrics["median_nearest_distance"]["valid"] is False
