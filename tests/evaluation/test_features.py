"""Feature spaces: shipped classifiers, own ones, InceptionV3 and random convolutions; figures."""

import json
import shutil
import zipfile
from types import SimpleNamespace

import keras
import numpy as np
import papermill
import pytest
from lessons import NOTEBOOKS, RUN, printed

import helpers
from helpers import features, inception, own_classifier
from helpers.machine import ASSETS, PROFILES
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


SHAPES = {
    "dataset": "./shapes",
    "title": "shapes",
    "image_shape": [16, 16, 1],
    "labelled": True,
    "class_names": ["lying", "standing", "square"],
    "images": "a hash of the pixels",
}


def shipped(dataset):
    return load_arrays(ASSETS / "datasets" / f"{dataset}.npz")


def made_run(folder, profile="tiny"):
    return SimpleNamespace(folder=folder / "run", profile=PROFILES[profile])


def made_images(card, count=10):
    """Images of noise for a card."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (2, count, *card["image_shape"]), np.uint8)
    labels = np.zeros((2, count), np.int64)
    return SimpleNamespace(
        train_images=images[0],
        train_labels=labels[0],
        test_images=images[1],
        test_labels=labels[1],
        card=card,
    )


def shapes(train=540, test=60, seed=0, channels=1, **changes):
    """Lying bars, standing bars and squares, anywhere in the picture, in noise."""
    random = np.random.default_rng(seed)
    count = train + test
    labels = random.integers(0, 3, count)
    images = random.integers(0, 100, (count, 16, 16, channels), np.uint8)
    for image, label in zip(images, labels):
        height, width = ((3, 9), (9, 3), (6, 6))[label]
        top, left = random.integers(0, 16 - height), random.integers(0, 16 - width)
        image[top : top + height, left : left + width] += 120
    return SimpleNamespace(
        train_images=images[:train],
        train_labels=labels[:train],
        test_images=images[train:],
        test_labels=labels[train:],
        card=SHAPES | {"image_shape": [16, 16, channels]} | changes,
    )


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(inception, "require_server", refuse)


def read_space(card):
    """The space of a set whose images do not matter."""
    return features.feature_space(made_run(ASSETS / "nowhere"), made_images(card))


# Which space


def test_a_set_with_a_classifier_gets_it(capsys):
    space = read_space(FASHION)
    assert space.name == "the shipped Fashion-MNIST classifier"
    assert space.sha256 == helpers.sha256(ASSETS / "classifiers" / "fashion_mnist.keras")
    assert space.classes == tuple(FASHION["class_names"])
    assert capsys.readouterr().out == f"Features: {space}.\n"
    assert str(space) == f"{space.name} (SHA-256 {space.sha256[:12]}…)"
    images = shipped("fashion_mnist")["test_images"][:30]
    for found, expected in zip(
        space.extract_features(images), features.classify("fashion_mnist", images)
    ):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "card",
    [
        EMOJI,
        FASHION | {"labelled": False},
        FASHION | {"dataset": "./mnist", "labelled": False},  # a folder of that name
        FASHION | {"image_shape": [28, 28, 3], "labelled": False},
    ],
    ids=["emoji", "no labels", "a folder", "colour"],
)
def test_sets_without_labels_get_random_convolutions(card):
    space = read_space(card)
    assert space.name == "random convolutions, no labels"
    assert space.classes is None
    assert space == read_space(EMOJI) != read_space(FASHION)
    images = np.random.default_rng(0).integers(0, 256, (3, *card["image_shape"]), dtype=np.uint8)
    found, probabilities = space.extract_features(images)
    assert found.shape == (3, 64) and probabilities is None


def test_a_shipped_model_is_read_once(monkeypatch):
    reads = []
    load = features.load_model
    monkeypatch.setattr(features, "load_model", lambda path: reads.append(path) or load(path))
    features._classifier.cache_clear()
    images = np.zeros((2, 28, 28, 1), np.uint8)
    for _ in range(3):
        read_space(FASHION).extract_features(images)
    assert len(reads) == 1


def test_a_space_can_be_asked_for(tmp_path):
    run, images = made_run(tmp_path), made_images(FASHION)
    assert features.feature_space(run, images, "classifier") == read_space(FASHION)
    assert features.feature_space(run, images, "random") == read_space(EMOJI)
    with pytest.raises(ValueError, match="no feature space 'fid'; it is one of classifier, "):
        features.feature_space(run, images, "fid")


# A classifier of one's own


TRAIN = own_classifier.train_classifier
TRAINED = {}  # by what they were trained on: a second training would give the same


def train_once(*arguments):
    key = b"".join(np.asarray(argument).tobytes() for argument in arguments)
    if key not in TRAINED:
        TRAINED[key] = TRAIN(*arguments)
    return TRAINED[key]


@pytest.fixture
def trainings(monkeypatch):
    """How often a classifier was trained; shorter than in earnest."""
    calls = []

    def train(*arguments):
        calls.append(arguments)
        return train_once(*arguments)

    monkeypatch.setattr(own_classifier, "STEPS", 120)
    monkeypatch.setattr(own_classifier, "train_classifier", train)
    return calls


@pytest.fixture
def kept(tmp_path, trainings, capsys):
    """A run with a kept classifier, and its space."""
    run = made_run(tmp_path)
    space = features.feature_space(run, shapes())
    trainings.clear()
    capsys.readouterr()
    return run, space


def test_a_labelled_set_gets_a_classifier_of_its_own(tmp_path, trainings, capsys):
    run = made_run(tmp_path)
    space = features.feature_space(run, shapes())
    assert space.name == "a classifier trained on shapes"
    assert space.classes == ("lying", "standing", "square")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and lines[0].startswith("Training a small classifier on 540 images")
    assert lines[1].startswith("Classifier: trained now") and "of 60 held-out" in lines[1]
    record = json.loads((run.folder / "classifier.json").read_text(encoding="utf-8"))
    assert record["accuracy"] >= 0.9 and record["sha256"] == space.sha256
    others = shapes(train=1, test=200, seed=1)
    found, probabilities = space.extract_features(others.held_out_images)
    assert found.shape == (200, 64) and found.dtype == probabilities.dtype == np.float32
    assert found.min() >= 0 and found.std() > 0.1
    assert np.mean(probabilities.argmax(axis=1) == others.held_out_labels) >= 0.9


def test_two_trainings_give_equal_weights(monkeypatch):
    monkeypatch.setattr(own_classifier, "STEPS", 20)
    found = []
    for seed in (0, 0, 1):
        keras.utils.set_random_seed(len(found))  # does not matter
        model = TRAIN(shapes().train_images, shapes().train_labels, 3, seed)
        found.append(own_classifier.weights_sha256(model))
    assert found[0] == found[1] != found[2]


def test_a_kept_classifier_is_not_trained_again(kept, trainings, capsys):
    run, space = kept
    before = {path.name: path.stat().st_mtime_ns for path in run.folder.iterdir()}
    assert set(before) == {"classifier.keras", "classifier.json"}
    again = features.feature_space(run, shapes())
    assert again == space and not trainings
    assert before == {path.name: path.stat().st_mtime_ns for path in run.folder.iterdir()}
    assert capsys.readouterr().out.startswith("Classifier: the one of run, right on")
    for found, expected in zip(
        again.extract_features(shapes().held_out_images),
        space.extract_features(shapes().held_out_images),
    ):
        np.testing.assert_array_equal(found, expected)


def test_another_run_with_the_same_images_takes_it_over(kept, trainings):
    run, space = kept
    other = SimpleNamespace(folder=run.folder.parent / "other", profile=run.profile)
    assert features.feature_space(other, shapes()) == space and not trainings
    shutil.rmtree(run.folder)
    assert features.feature_space(other, shapes()) == space and not trainings


@pytest.mark.parametrize(
    "images",
    [
        shapes(images="another hash"),
        shapes(class_names=["lying", "standing", "box"]),
        shapes(seed=1),  # other labels
    ],
    ids=["images", "names", "labels"],
)
def test_a_classifier_of_other_images_is_not_used(images, kept, trainings, capsys):
    run, _ = kept
    space = features.feature_space(run, images)
    assert len(trainings) == 1 and space.classes == tuple(images.card["class_names"])
    assert "not used" not in capsys.readouterr().out
    assert features.feature_space(run, images) == space and len(trainings) == 1


def truncate(folder):
    content = (folder / "classifier.keras").read_bytes()
    (folder / "classifier.keras").write_bytes(content[: len(content) // 2])


def exchange(folder):
    helpers.save_model(own_classifier.build_classifier((16, 16, 1), 3), folder / "classifier.keras")


def replace_network(folder):
    network = keras.Sequential([keras.Input((16, 16, 1)), keras.layers.Flatten()])
    helpers.save_model(network, folder / "classifier.keras")


def forget_accuracy(folder):
    record = json.loads((folder / "classifier.json").read_text(encoding="utf-8"))
    helpers.save_json(folder / "classifier.json", record | {"accuracy": None})


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        exchange,
        replace_network,
        forget_accuracy,
        lambda folder: (folder / "classifier.keras").unlink(),
        lambda folder: (folder / "classifier.json").write_bytes(b"{\xff"),
        lambda folder: (folder / "classifier.json").write_text("[1]", encoding="utf-8"),
    ],
    ids=["truncated", "other weights", "other network", "record", "lost", "no JSON", "a list"],
)
def test_a_damaged_classifier_is_trained_anew(damage, kept, trainings, capsys):
    run, space = kept
    damage(run.folder)
    assert features.feature_space(run, shapes()) == space and len(trainings) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "The classifier in run is damaged or of another Keras: not used."
    assert lines[2].startswith("Classifier: trained now")
    assert features.feature_space(run, shapes()) == space and len(trainings) == 1


def test_hopeless_labels_give_random_convolutions_and_are_remembered(tmp_path, trainings, capsys):
    run, images = made_run(tmp_path), shapes()
    images.train_labels = np.random.default_rng(7).permutation(images.train_labels)
    for _ in range(2):
        assert features.feature_space(run, images) == read_space(EMOJI)
        out = capsys.readouterr().out
        assert "No classifier is used: one trained on these labels is right on" in out
        assert "hardly above the" in out
    assert len(trainings) == 1
    assert [path.name for path in run.folder.iterdir()] == ["classifier.json"]


@pytest.mark.parametrize(
    ("accuracy", "chance", "count", "enough"),
    [
        (0.62, 0.5, 2000, True),
        (0.58, 0.5, 2000, False),
        (0.65, 0.5, 60, False),  # too few to tell
        (0.25, 0.01, 1000, True),  # many classes
        (0.91, 0.9, 1000, False),
        (1.0, 1.0, 50, False),  # one class held out
    ],
)
def test_what_counts_as_above_chance(accuracy, chance, count, enough):
    record = {"accuracy": accuracy, "chance": chance, "held_out_images": count}
    assert own_classifier._above_chance(record) == enough


def test_sets_too_small_for_a_classifier_say_so(tmp_path, trainings, capsys):
    one_class, rare = shapes(), shapes()
    one_class.train_labels = one_class.train_labels * 0
    first = np.flatnonzero(rare.train_labels == 2)[19:]
    rare.train_labels = rare.train_labels.copy()
    rare.train_labels[first] = 1
    for images, reason in (
        (one_class, "all training images are of one class"),
        (rare, "19 training images of square are fewer than 20"),
        (shapes(train=299), "299 training images are fewer than 300"),
    ):
        space = features.feature_space(made_run(tmp_path), images)
        assert space == read_space(EMOJI)
        assert capsys.readouterr().out.startswith(f"No classifier is trained: {reason}.\n")
    assert not trainings and not list(tmp_path.iterdir())


def test_a_class_without_images_does_no_harm(tmp_path, trainings):
    """tensorflow-datasets names classes that some sets do not use."""
    images = shapes(class_names=["lying", "standing", "square", "round"])
    space = features.feature_space(made_run(tmp_path), images)
    assert space.extract_features(images.held_out_images)[1].shape == (60, 4)


def test_colour_and_larger_images_are_classified(tmp_path, trainings, monkeypatch, capsys):
    monkeypatch.setattr(own_classifier, "LARGEST_SIDE", 12)
    images = shapes(channels=3)
    space = features.feature_space(made_run(tmp_path), images)
    found, probabilities = space.extract_features(helpers.normalise(images.held_out_images).numpy())
    np.testing.assert_array_equal(found, space.extract_features(images.held_out_images)[0])
    assert np.mean(probabilities.argmax(axis=1) == images.held_out_labels) >= 0.9
    with pytest.raises(ValueError, match=r"\(2, 16, 16, 1\); needed is"):
        space.extract_features(np.zeros((2, 16, 16, 1), np.uint8))
    assert capsys.readouterr().out.startswith("Not Keras's InceptionV3: its 2,048 features need")


def test_images_mapped_from_a_file_are_trained_on(tmp_path, monkeypatch):
    monkeypatch.setattr(own_classifier, "STEPS", 20)
    images, labels = shapes().train_images, shapes().train_labels
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    models = [TRAIN(some_images, labels, 3, 0) for some_images in (images, mapped)]
    assert len({own_classifier.weights_sha256(model) for model in models}) == 1


def test_the_shipped_classifiers_have_this_architecture():
    for dataset in ("fashion_mnist", "mnist"):
        model = helpers.load_model(ASSETS / "classifiers" / f"{dataset}.keras")
        built = own_classifier.build_classifier((28, 28, 1), 10)
        kinds = [type(layer) for layer in built.layers]
        assert [type(layer) for layer in model.layers] == kinds
        assert [w.shape for w in model.weights] == [w.shape for w in built.weights]


# InceptionV3

COLOUR = shapes(channels=3).card | {"labelled": False}


@pytest.fixture
def downloads(monkeypatch, tmp_path):
    """A stand-in for InceptionV3 that can be had, on a machine with a GPU; how often it was."""
    calls = []

    def build(**options):
        assert options == {"include_top": False, "pooling": "avg", "weights": "imagenet"}
        calls.append("built")
        image = keras.Input((None, None, 3))
        constant = keras.layers.Conv2D(4, 1, kernel_initializer="ones")
        return keras.Model(image, keras.layers.GlobalAveragePooling2D()(constant(image)))

    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(keras.applications, "InceptionV3", build)
    monkeypatch.setattr(inception, "require_server", lambda *_: calls.append("asked"))
    monkeypatch.setattr(features, "has_gpu", lambda: True)
    monkeypatch.setattr(inception, "FEATURES", 50)
    return calls


def test_colour_gets_inception_where_there_are_gpu_and_images(tmp_path, downloads):
    images = made_images(COLOUR, count=60)
    space = features.feature_space(made_run(tmp_path), images)
    assert downloads == ["asked", "built"]
    assert space.name == "Keras's InceptionV3 of ImageNet, not that of FID"
    assert space.classes is None and len(space.sha256) == 64
    found, probabilities = space.extract_features(images.held_out_images)
    assert found.shape == (60, 4) and found.dtype == np.float32 and probabilities is None
    means = helpers.normalise(images.held_out_images).numpy().mean(axis=(1, 2)).sum(axis=1)
    np.testing.assert_allclose(found, np.tile(means[:, None], 4), atol=0.05)
    floats = helpers.normalise(images.held_out_images[:7]).numpy()
    np.testing.assert_allclose(space.extract_features(floats)[0], found[:7], atol=1e-5)
    with pytest.raises(ValueError, match="needed is"):
        space.extract_features(np.zeros((2, 16, 16, 1), np.uint8))
    assert space == features.feature_space(made_run(tmp_path), images)


def test_inception_comes_before_an_own_classifier(tmp_path, downloads, trainings):
    space = features.feature_space(made_run(tmp_path), shapes(channels=3))
    assert "InceptionV3" in space.name and not trainings
    asked_for = features.feature_space(made_run(tmp_path), shapes(channels=3), "classifier")
    assert asked_for.name == "a classifier trained on shapes" and len(trainings) == 1


def test_weights_in_kerass_cache_need_no_network(tmp_path, downloads):
    models = tmp_path / "keras" / "models"
    models.mkdir(parents=True)
    (models / inception.WEIGHTS).write_bytes(b"")
    space = features.feature_space(made_run(tmp_path), made_images(COLOUR, count=60))
    assert downloads == ["built"] and "InceptionV3" in space.name


@pytest.mark.parametrize("labelled", [False, True])
def test_without_a_network_one_line_says_so(
    tmp_path, downloads, trainings, monkeypatch, capsys, labelled
):
    def refuse(*_):
        raise OSError("no route to host")

    monkeypatch.setattr(inception, "require_server", refuse)
    images = shapes(channels=3, labelled=labelled)
    space = features.feature_space(made_run(tmp_path), images)
    first, *rest = capsys.readouterr().out.splitlines()
    assert first == (
        "Not Keras's InceptionV3: its weights could not be had (OSError: no route to host)."
    )
    assert len(rest) == (3 if labelled else 1) and not downloads
    wanted = "a classifier trained on shapes" if labelled else "random convolutions, no labels"
    assert space.name == wanted


def test_a_download_that_stalls_is_given_up(downloads, monkeypatch, capsys):
    """Keras sets no timeout of its own, so ours holds while it downloads, and no longer."""
    found = []

    def stall(**_):
        found.append(inception.socket.getdefaulttimeout())
        raise TimeoutError("The read operation timed out")

    monkeypatch.setattr(keras.applications, "InceptionV3", stall)
    assert inception.load_inception() is None
    assert found == [10] and inception.socket.getdefaulttimeout() is None
    assert "(TimeoutError: The read operation timed out)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"gpu": False}, "without a GPU it takes many minutes"),
        ({"count": 40}, "its 50 features need as many images of each kind, and there are 40"),
    ],
    ids=["no GPU", "few images"],
)
def test_where_inception_does_not_pay_it_is_not_tried(
    tmp_path, downloads, monkeypatch, capsys, changes, reason
):
    monkeypatch.setattr(features, "has_gpu", lambda: changes.get("gpu", True))
    run, images = made_run(tmp_path), made_images(COLOUR, changes.get("count", 60))
    assert features.feature_space(run, images) == read_space(FASHION | {"labelled": False})
    assert capsys.readouterr().out.startswith(f"Not Keras's InceptionV3: {reason}.\n")
    assert not downloads
    assert "InceptionV3" in features.feature_space(run, images, "inception").name
    assert downloads == ["asked", "built"]


def test_gray_never_gets_inception(tmp_path, downloads, capsys):
    run, images = made_run(tmp_path), made_images(FASHION, count=60)
    assert features.feature_space(run, images, "inception") == read_space(EMOJI)
    assert "Not Keras's InceptionV3: it needs images in colour.\n" in capsys.readouterr().out
    assert not downloads


def test_the_profiles_below_full_have_too_few_images_for_inception():
    for profile in PROFILES.values():
        assert (profile.samples >= inception.FEATURES) == (profile.name == "full")


# Figures


def test_figures_of_one_space_can_be_compared():
    space = read_space(EMOJI)
    first = features.figure(np.float32(12.5), space, 384, 384, seed=3)
    assert first == {
        "value": 12.5,
        "space": {"name": space.name, "sha256": space.sha256},
        "real": 384,
        "generated": 384,
        "seed": 3,
    }
    assert json.loads(json.dumps(first)) == first
    text = features.circumstances(features.figure(1, space, 2000, 1000, seed=3))
    assert text.startswith("random convolutions, no labels (SHA-256 44891839087f…), 2,000 real")
    assert text.endswith("and 1,000 generated images, seed 3")
    second = first | {"value": 3.0, "space": first["space"] | {"name": "another name"}}
    assert features.comparable(iter([first, second])) == [first, second]
    assert features.comparable([]) == []
    features.require_same(space, second)


def test_figures_of_different_spaces_are_refused():
    first, second = read_space(EMOJI), read_space(FASHION)
    records = [features.figure(1, space, 10, 10, 0) for space in (first, first, second)]
    for refused in (
        lambda: features.comparable(records),
        lambda: features.require_same(first, second),
        lambda: features.require_same(records[0], second),
    ):
        with pytest.raises(ValueError, match="cannot be compared; compute both in one") as caught:
            refused()
        for space in (first, second):
            assert str(space) in str(caught.value)
        assert "\n" not in str(caught.value)
    for nameless in ({"value": 1.0}, {"space": None}, {"space": {"name": "x"}}):
        with pytest.raises(ValueError, match="names no feature space"):
            features.comparable([records[0], nameless])


# Random convolutions


def test_random_weights_are_the_same_everywhere():
    """Distances in this space are compared across machines and versions."""
    assert read_space(EMOJI).sha256 == RANDOM_SHA256
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
        read_space(EMOJI).extract_features(images)
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
    found, probabilities = features.classify(dataset, arrays["test_images"])
    assert found.shape == (2000, 64) and probabilities.shape == (2000, 10)
    assert found.dtype == probabilities.dtype == np.float32
    assert found.min() >= 0 and found.std() > 0.1
    assert probabilities.min() >= 0
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert np.mean(probabilities.argmax(axis=1) == arrays["test_labels"]) >= least


def test_classifier_treats_bytes_and_floats_alike():
    images = shipped("mnist")["test_images"][:20]
    from_bytes = features.classify("mnist", images)
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, images.shape) / 127.5
    floats = np.clip(helpers.normalise(images) + noise, -1, 1)
    for expected, found in zip(from_bytes, features.classify("mnist", floats), strict=True):
        np.testing.assert_array_equal(expected, found)
    larger = features.classify("mnist", helpers.resize(images, 32))[1]
    assert np.mean(larger.argmax(1) == from_bytes[1].argmax(1)) >= 0.9


def test_classifier_refuses_colour_and_sets_without_one():
    with pytest.raises(ValueError, match=r"\(2, 28, 28, 3\); needed is"):
        features.classify("mnist", np.zeros((2, 28, 28, 3), np.uint8))
    with pytest.raises(FileNotFoundError, match=r"emoji\.keras does not exist"):
        features.classify("emoji", np.zeros((2, 28, 28, 1), np.uint8))


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
    """Eight held-out images, no labels, augmented: one line for each, and nothing raises."""
    monkeypatch.setenv("DCGAN_RUNS", str(tmp_path))
    monkeypatch.setenv("DCGAN_PROFILE", "tiny")
    run = helpers.open_run("fashion_mnist")
    images = helpers.prepare(run)
    arrays = {
        "train_images": images.train_images,
        "train_labels": images.train_labels * 0,
        "test_images": images.held_out_images[:8],
        "test_labels": images.held_out_labels[:8] * 0,
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
    for line in ("Features: random convolutions", "Too few images for 64 features", "Not valid"):
        assert text.count(line) == 1, line
    assert "confidence" not in text and "classes covered" not in text
    metrics = json.loads((tmp_path / RUN / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["class_shares"] is None and metrics["copies_valid"] is False
    record = metrics["scores"]["shipped"]["frechet"]
    assert record["space"] == {"name": "random convolutions, no labels", "sha256": RANDOM_SHA256}
    assert record["real"] == record["generated"] == 8 and record["value"] > 0
    assert "classes_covered" not in metrics["scores"]["shipped"]
