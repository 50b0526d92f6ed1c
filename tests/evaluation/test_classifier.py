"""A classifier of one's own: trained once, kept, taken over by other runs, refused if hopeless."""

import shutil

import keras
import numpy as np
import pytest

import helpers
from helpers.evaluation.classifier import (
    build_classifier,
    own_classifier,
    train_classifier,
    weights_sha256,
)
from helpers.evaluation.features import feature_space
from helpers.machine import ASSETS
from tests.evaluation.toy import made_run, shapes


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run whose classifier is trained, for copies; and that classifier."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    return folder, own_classifier(made_run(folder), shapes())


@pytest.fixture
def run(trained, tmp_path):
    shutil.copytree(trained[0], tmp_path / "run")
    return made_run(tmp_path / "run")


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_it_is_the_feature_space_of_a_labelled_set(run, trained, capsys):
    assert set(contents(run.folder)) == {"classifier.keras", "classifier.json"}
    space = feature_space(run, shapes())
    assert capsys.readouterr().out.endswith(f"held-out images.\nFeatures: {space}.\n")
    assert space.name == "a classifier trained on shapes"
    assert space.classes == ("lying", "standing", "square")
    assert space.sha256 == weights_sha256(trained[1])
    others = shapes(train=1, held_out=200, seed=1)
    features, probabilities = space.extract_features(others.held_out_images)
    assert features.shape == (200, 64) and features.min() >= 0
    right = probabilities.argmax(axis=1) == others.held_out_labels
    assert np.mean(right) >= 0.7  # chance is 0.33


def test_a_seed_decides_the_weights_whatever_was_drawn_before(tmp_path):
    """Of larger images in colour, mapped from a file, with a class that has no images."""
    images = shapes(train=16, side=40, channels=3)
    np.save(tmp_path / "images.npy", images.train_images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    found = []
    for _ in range(2):
        keras.utils.set_random_seed(len(found))  # does not matter
        model = train_classifier(mapped, images.train_labels, 4, seed=0)
        assert model.input_shape == (None, 32, 32, 3) and model.output_shape == (None, 4)
        found.append(weights_sha256(model))
    assert found[0] == found[1]


def test_a_kept_one_is_taken_again(run, trained, capsys):
    before = contents(run.folder)
    again = own_classifier(run, shapes())
    assert weights_sha256(again) == weights_sha256(trained[1])
    assert contents(run.folder) == before
    assert capsys.readouterr().out.startswith("Classifier: the one of run, right on")


def test_another_run_with_the_same_images_takes_it_over(run, trained, capsys):
    other = made_run(run.folder.parent / "other")
    for _ in range(2):  # from the first run, then its own
        found = own_classifier(other, shapes())
        assert weights_sha256(found) == weights_sha256(trained[1])
        assert "Training" not in capsys.readouterr().out
        shutil.rmtree(run.folder, ignore_errors=True)


def test_one_of_other_images_or_names_is_not_taken(run, capsys):
    """But the one of a run that says it is of these."""
    about = helpers.load_json(run.folder / "classifier.json")
    for change in ({"images": "another hash"}, {"class_names": ["lying", "standing", "box"]}):
        twin = run.folder.parent / "twin"
        shutil.copytree(run.folder, twin, dirs_exist_ok=True)
        helpers.save_json(run.folder / "classifier.json", about)
        helpers.save_json(twin / "classifier.json", about | change)
        own_classifier(run, shapes(**change))
        assert capsys.readouterr().out.startswith("Classifier: the one of twin, right on")
        assert helpers.load_json(run.folder / "classifier.json") == about | change


def truncate(folder):
    content = (folder / "classifier.keras").read_bytes()
    (folder / "classifier.keras").write_bytes(content[: len(content) // 2])


def replace_network(folder):
    network = keras.Sequential([keras.Input((16, 16, 1)), keras.layers.Flatten()])
    helpers.save_model(network, folder / "classifier.keras")


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        replace_network,
        lambda folder: (folder / "classifier.keras").unlink(),
        lambda folder: (folder / "classifier.json").write_bytes(b"{\xff"),
    ],
    ids=["truncated", "other network", "lost", "no JSON"],
)
def test_a_damaged_one_is_not_used(damage, run, trained, capsys):
    """Here another run has a whole one; where none has, it is trained anew."""
    shutil.copytree(run.folder, run.folder.parent / "twin")
    damage(run.folder)
    for first in (
        "The classifier in run is damaged or of another Keras: not used.",
        "Classifier: the one of run, right on",  # the twin's, kept
    ):
        found = own_classifier(run, shapes())
        assert weights_sha256(found) == weights_sha256(trained[1])
        assert capsys.readouterr().out.startswith(first)


def test_hopeless_labels_give_none_and_are_remembered(run, capsys):
    """The kept one is of the right labels, so it is not taken."""
    images = shapes()
    images.train_labels = np.random.default_rng(7).permutation(images.train_labels)
    for _ in range(2):
        assert own_classifier(run, images) is None
    out = capsys.readouterr().out
    assert out.startswith("Training a small classifier on 300 images, once ...")
    assert out.count("Training") == 1 and out.count("No classifier is used: ") == 2
    assert "hardly above the" in out and "damaged" not in out


def test_sets_too_small_say_so(tmp_path, capsys):
    one_class, rare = shapes(), shapes()
    one_class.train_labels = one_class.train_labels * 0
    rare.train_labels = np.repeat([0, 1, 2], [200, 81, 19])
    for images, reason in (
        (one_class, "all training images are of one class"),
        (rare, "19 training images of square are fewer than 20"),
        (shapes(train=299), "299 training images are fewer than 300"),
    ):
        assert own_classifier(made_run(tmp_path / "run"), images) is None
        assert capsys.readouterr().out == f"No classifier is trained: {reason}.\n"
    assert not list(tmp_path.iterdir())


def test_the_shipped_classifiers_have_this_architecture():
    built = build_classifier((28, 28, 1), 10)
    for dataset in ("fashion_mnist", "mnist"):
        model = helpers.load_model(ASSETS / "classifiers" / f"{dataset}.keras")
        kinds = [type(layer) for layer in built.layers]
        assert [type(layer) for layer in model.layers] == kinds
        assert [w.shape for w in model.weights] == [w.shape for w in built.weights]
