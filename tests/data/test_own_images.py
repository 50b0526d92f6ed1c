"""The learner's own pictures, from every kind of source to prepared images."""

import csv
import io
import json
import shutil
import sys
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import helpers
from helpers import preparation, sources
from helpers.machine import PROFILES

COUNT = 60


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DCGAN_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("DCGAN_PROFILE", "tiny")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))


def pixels(count=COUNT, side=40, channels=3):
    """Noise, each picture another."""
    shape = (count, side, side, channels)
    return np.random.default_rng(3).integers(0, 256, shape, np.uint8)


def labels(count=COUNT):
    return np.arange(count) * 3 // count  # class by class


@pytest.fixture
def photos(tmp_path):
    """A folder of colour pictures, higher than wide, in three classes."""
    folder = tmp_path / "photos"
    for number, (image, label) in enumerate(zip(pixels(), labels())):
        path = folder / "abc"[label] / f"{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.pad(image, ((5, 5), (0, 0), (0, 0)))).save(path)
    return folder


def make_zip(tmp_path, photos):
    shutil.make_archive(str(tmp_path / "packed"), "zip", photos)
    return tmp_path / "packed.zip"


def make_csv(tmp_path, photos):
    with open(tmp_path / "signs.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["label", *(f"pixel{n}" for n in range(1, 785))])
        for label, image in zip(labels(), pixels(side=28, channels=1)):
            writer.writerow([label, *image.ravel()])
    return tmp_path / "signs.csv"


def make_npz(tmp_path, photos):
    np.savez(tmp_path / "arrays.npz", images=pixels(), labels=labels())
    return tmp_path / "arrays.npz"


def make_npy(tmp_path, photos):
    np.save(tmp_path / "array.npy", pixels(side=28, channels=1)[..., 0])
    return tmp_path / "array.npy"


@pytest.mark.parametrize(
    ("make", "shape", "classes"),
    [
        (lambda tmp_path, photos: photos, (64, 64, 3), ["a", "b", "c"]),
        (make_zip, (64, 64, 3), ["a", "b", "c"]),
        (make_csv, (28, 28, 1), ["0", "1", "2"]),
        (make_npz, (64, 64, 3), ["0", "1", "2"]),
        (make_npy, (28, 28, 1), ["all images"]),
    ],
    ids=["folder", "zip", "csv", "npz", "npy"],
)
def test_every_kind_of_file_is_prepared(make, shape, classes, tmp_path, photos, capsys):
    path = make(tmp_path, photos)
    before = path.read_bytes() if path.is_file() else None
    run = helpers.open_run(str(path))
    images = helpers.prepare(run)
    assert run.name == f"{path.stem}-tiny"
    assert images.card["image_shape"] == list(shape)
    assert images.card["class_names"] == classes
    assert images.card["labelled"] == (len(classes) > 1)
    assert images.train_images.shape[1:] == images.held_out_images.shape[1:] == shape
    assert len(images.train_images) + len(images.held_out_images) == COUNT
    assert 1 <= len(images.held_out_images) <= 15  # about one in ten
    counts = np.array(list(images.card["class_counts"].values()))
    assert counts.sum(axis=0).tolist() == ([20, 20, 20] if len(classes) > 1 else [COUNT])
    assert str(tmp_path) not in capsys.readouterr().out
    assert before is None or path.read_bytes() == before
    again = helpers.prepare(helpers.open_run(str(path)))
    np.testing.assert_array_equal(again.train_images, images.train_images)
    assert f"Images: yours, from runs/{run.name}/images.npz." in capsys.readouterr().out


def test_pictures_are_cropped_in_the_middle_and_stay_with_their_labels(photos):
    images = helpers.prepare(helpers.open_run(str(photos), image_size=40))
    known = {image.tobytes(): label for image, label in zip(pixels(), labels())}
    for split in ("train", "test"):
        found = [image.tobytes() for image in getattr(images, f"{split}_images")]
        assert [known[image] for image in found] == getattr(images, f"{split}_labels").tolist()


@pytest.mark.parametrize(("side", "size"), [(20, 28), (28, 28), (30, 32), (33, 64), (500, 64)])
def test_the_size_is_the_pictures_own_or_the_next_one_up(side, size, tmp_path):
    np.save(tmp_path / "a.npy", pixels(COUNT, side, 1))
    images = helpers.prepare(helpers.open_run(str(tmp_path / "a.npy")))
    assert images.card["image_shape"] == [size, size, 1]


@pytest.mark.parametrize(("channels", "wanted"), [(1, 3), (3, 1)])
def test_channels_are_as_asked(channels, wanted, tmp_path):
    np.save(tmp_path / "a.npy", pixels(COUNT, 28, channels))
    images = helpers.prepare(helpers.open_run(str(tmp_path / "a.npy"), channels=wanted))
    assert images.train_images.shape[1:] == (28, 28, wanted)


def test_gray_pictures_saved_in_colour_are_gray(tmp_path):
    np.save(tmp_path / "a.npy", pixels(COUNT, 28, 1).repeat(3, axis=-1))
    images = helpers.prepare(helpers.open_run(str(tmp_path / "a.npy")))
    assert images.card["image_shape"] == [28, 28, 1]


def test_equal_pictures_are_counted_and_stay_on_one_side(tmp_path, capsys):
    np.save(tmp_path / "a.npy", pixels(100, 28, 1).repeat(3, axis=0))
    images = helpers.prepare(helpers.open_run(str(tmp_path / "a.npy")))
    assert images.card["duplicates"] == 200
    assert "200 of 300 images are exact copies" in capsys.readouterr().out
    train = {image.tobytes() for image in images.train_images}
    assert len(images.held_out_images)
    assert not [image for image in images.held_out_images if image.tobytes() in train]


def test_pictures_of_one_colour_are_counted(tmp_path, capsys):
    images = pixels(40, 28, 1)
    images[:7] = 255
    np.save(tmp_path / "a.npy", images)
    card = helpers.prepare(helpers.open_run(str(tmp_path / "a.npy"))).card
    assert card["one_colour"] == 7
    assert "7 images are of one colour all over;" in capsys.readouterr().out


def test_what_cannot_be_read_is_skipped_with_count_and_names(photos, capsys):
    whole = (photos / "a" / "000.png").read_bytes()
    (photos / "a" / "000.png").write_bytes(whole[:200])
    (photos / "b" / "empty.jpg").write_bytes(b"")
    (photos / "c" / "text.png").write_text("not a picture", encoding="utf-8")
    images = helpers.prepare(helpers.open_run(str(photos)))
    assert images.card["skipped"] == 3
    assert len(images.train_images) + len(images.held_out_images) == COUNT - 1
    (line,) = [text for text in capsys.readouterr().out.splitlines() if "Skipped" in text]
    for part in ("Skipped 3 pictures", "a/000.png (", "b/empty.jpg (", "c/text.png ("):
        assert part in line


def test_a_set_without_a_readable_picture_is_refused_and_leaves_nothing(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"")
    run = helpers.open_run(str(tmp_path / "photos"))
    with pytest.raises(ValueError, match="photos gives 0 pictures to train on"):
        helpers.prepare(run)
    assert not list(run.folder.iterdir())


def trained(run):
    """As lesson 4 leaves it."""
    (run.folder / "checkpoints").mkdir()
    (run.folder / "checkpoints" / "step_0000010.npz").write_bytes(b"trained")


def test_new_pictures_are_prepared_anew_until_they_were_trained_on(photos, capsys):
    run = helpers.open_run(str(photos))
    before = helpers.prepare(run)
    Image.fromarray(pixels(1)[0]).save(photos / "a" / "new.png")
    after = helpers.prepare(run)
    assert "The files of photos have changed since they" in capsys.readouterr().out
    count = len(before.train_images) + len(before.held_out_images)
    assert len(after.train_images) + len(after.held_out_images) == count + 1
    trained(run)
    (photos / "a" / "new.png").unlink()
    with pytest.raises(ValueError, match="photos have changed since runs/photos-tiny was prepared"):
        helpers.prepare(run)


def test_another_background_is_prepared_anew(photos):
    Image.new("RGBA", (40, 40), (255, 0, 0, 0)).save(photos / "a" / "glass.png")
    run = helpers.open_run(str(photos))
    for background, value in (("black", 0), ("white", 255)):
        images = helpers.prepare(run, background)
        both = np.concatenate([images.train_images, images.held_out_images])
        assert images.card["background"] == background
        assert [image.max() for image in both if image.min() == image.max()] == [value]
    helpers.prepare(run, "black")
    assert helpers.prepare(run).card["background"] == "black"


def test_prepared_pictures_outlive_their_folder(photos):
    before = helpers.prepare(helpers.open_run(str(photos)))
    shutil.rmtree(photos)
    after = helpers.prepare(helpers.open_run(str(photos)))
    np.testing.assert_array_equal(after.train_images, before.train_images)


@pytest.mark.parametrize("moment", ["reading", "packing", "describing"])
def test_an_interrupted_preparation_is_never_taken_for_a_whole_one(moment, photos, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    run = helpers.open_run(str(photos))
    place = {"reading": "conform", "packing": "_pack_arrays", "describing": "save_json"}[moment]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(preparation, place, interrupt)
        helpers.prepare(run)
    assert not (run.folder / "dataset.json").exists()
    assert not list(run.folder.glob(".partial*"))
    images = helpers.prepare(run)
    assert len(images.train_images) + len(images.held_out_images) == COUNT


def test_what_a_killed_preparation_left_is_removed(photos):
    run = helpers.open_run(str(photos))
    (run.folder / ".partialx1y2").mkdir(parents=True)
    (run.folder / ".partialx1y2" / "train").write_bytes(b"half")
    helpers.prepare(run)
    assert sorted(path.name for path in run.folder.iterdir()) == ["dataset.json", "images.npz"]


def test_a_run_of_other_images_is_refused(photos, tmp_path):
    helpers.prepare(helpers.open_run(str(photos), name="mine"))
    for arguments, part in (
        ({"dataset": "mnist"}, "not mnist at 28 pixels in profile tiny, gray"),
        ({"dataset": str(photos), "image_size": 32}, "not your files photos at 32 pixels"),
        ({"dataset": str(photos), "channels": 1}, "in profile tiny, gray; choose another"),
    ):
        with pytest.raises(
            ValueError, match=r"holds your files photos at 64 .* in colour"
        ) as caught:
            helpers.open_run(**arguments, name="mine")
        assert part in str(caught.value)


def test_a_profile_takes_equally_many_of_each_class(tmp_path, monkeypatch):
    np.savez(
        tmp_path / "a.npz",
        images=pixels(1000, 28, 1),
        labels=np.repeat([0, 1], [900, 100]),
    )
    small = PROFILES["tiny"].__class__("tiny", 150, 50, epochs=1, samples=1, epoch_images=1)
    monkeypatch.setitem(PROFILES, "tiny", small)
    images = helpers.prepare(helpers.open_run(str(tmp_path / "a.npz")))
    counts = np.array(list(images.card["class_counts"].values())).sum(axis=0)
    assert abs(counts[0] - counts[1]) <= 1 and counts.sum() == round(150 / 0.9)


def test_a_file_is_not_taken_for_a_known_set_of_that_name(tmp_path):
    helpers.prepare(helpers.open_run("mnist"))
    np.savez(tmp_path / "mnist.npz", images=pixels(side=28, channels=1))
    with pytest.raises(ValueError, match=r"holds mnist at 28 .*, not your files mnist at 28"):
        helpers.open_run(str(tmp_path / "mnist.npz"), image_size=28)


@pytest.mark.parametrize("name", ["cifar10:3.0.2", "imagenet_resized/32x32", "cifar10"])
def test_sets_of_tensorflow_datasets_have_runs_of_their_own(name):
    others = ["svhn_cropped:3.0.2", "downsampled_imagenet/32x32", "cifar100"]
    names = {sources.slug(f"tfds:{other}") for other in [name, *others]}
    assert len(names) == 4 and not [n for n in names if set(n) & set(":/\\ ")]


@pytest.mark.parametrize("place", ["ROOT", "runs_folder"])
def test_a_folder_that_holds_the_course_or_its_runs_is_refused(place, photos, monkeypatch):
    inside = photos / "a" / "course"
    monkeypatch.setattr(sources, place, inside if place == "ROOT" else lambda: inside)
    with pytest.raises(ValueError, match="The folder photos holds the course itself"):
        helpers.prepare(helpers.open_run(str(photos)))


def test_the_card_tells_one_set_of_images_from_another(photos):
    run = helpers.open_run(str(photos))
    first = helpers.prepare(run).card["images"]
    (run.folder / "images.npz").unlink()
    assert helpers.prepare(run).card["images"] == first
    Image.fromarray(pixels(1)[0]).save(photos / "a" / "new.png")
    assert helpers.prepare(run).card["images"] != first


def test_the_background_stays_when_new_files_come(photos):
    run = helpers.open_run(str(photos))
    helpers.prepare(run, "#000000")
    Image.fromarray(pixels(1)[0]).save(photos / "a" / "new.png")
    assert helpers.prepare(run).card["background"] == "#000000"
    trained(run)
    assert helpers.prepare(run, "black").card["background"] == "#000000"  # the same colour


def test_an_emptied_folder_does_not_spoil_what_was_prepared(photos):
    run = helpers.open_run(str(photos))
    before = helpers.prepare(run)
    trained(run)
    shutil.rmtree(photos)
    photos.write_text("a file now", encoding="utf-8")
    photos.unlink()
    np.testing.assert_array_equal(helpers.prepare(run).held_out_images, before.held_out_images)


def test_a_full_disk_is_said_in_a_sentence_and_leaves_nothing(photos, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    run = helpers.open_run(str(photos))
    monkeypatch.setattr(preparation, "_each", full)
    with pytest.raises(OSError, match=r"Could not prepare photos \(No space left on device\)\."):
        helpers.prepare(run)
    assert not list(run.folder.iterdir())


def test_pictures_of_one_colour_need_not_be_gray(tmp_path):
    images = pixels(40, 28)
    images[:5] = (200, 10, 0)
    np.save(tmp_path / "a.npy", images)
    assert helpers.prepare(helpers.open_run(str(tmp_path / "a.npy"))).card["one_colour"] == 5


@pytest.mark.parametrize("name", ["x" * 300, "~nobody-of-that-name/x", "a\0b"])
def test_a_name_that_no_file_can_have_is_refused_like_any_other(name):
    with pytest.raises(ValueError, match="There is no data set"):
        helpers.open_run(name, name="mine")


# Sets with a name


def test_emoji_are_shipped_in_colour():
    images = helpers.prepare(helpers.open_run("emoji"))
    assert images.card["image_shape"] == [64, 64, 3] and not images.card["labelled"]
    assert images.card["augmented"]  # man and woman with one tool are two drawings
    assert len(images.train_images) == 512


def fake_kagglehub(folder):
    def dataset_download(name):
        assert name == "datamunge/sign-language-mnist"
        return str(folder)

    return SimpleNamespace(dataset_download=dataset_download)


def test_sign_language_comes_through_kagglehub(tmp_path, monkeypatch):
    for split in ("train", "test"):
        source = make_csv(tmp_path, None)
        target = tmp_path / "kaggle" / f"sign_mnist_{split}" / f"sign_mnist_{split}.csv"
        target.parent.mkdir(parents=True)
        text = source.read_text(encoding="utf-8").replace("\n2,", "\n24,").replace("\n1,", "\n10,")
        target.write_text(text, encoding="utf-8")
    monkeypatch.setitem(sys.modules, "kagglehub", fake_kagglehub(tmp_path / "kaggle"))
    images = helpers.prepare(helpers.open_run("sign_language_mnist"))
    assert images.card["augmented"] and images.card["image_shape"] == [28, 28, 1]
    letters = np.array(images.card["class_names"])
    assert set(letters[images.train_labels]) == {"A", "K", "Y"}
    assert images.card["train_images"] == images.card["test_images"] == COUNT


def test_sign_language_without_kagglehub_or_network_says_what_to_do(monkeypatch):
    run = helpers.open_run("sign_language_mnist")
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(ValueError, match="pip install kagglehub"):
        helpers.prepare(run)

    def offline(name):
        raise ConnectionError("no route\nto host")

    monkeypatch.setitem(sys.modules, "kagglehub", SimpleNamespace(dataset_download=offline))
    with pytest.raises(ValueError, match=r"Kaggle did not give .* \(no route\); check the network"):
        helpers.prepare(run)


class FakeImage:
    def __init__(self, shape):
        self.shape = shape


class FakeLabel:
    names = ("cat", "dog")


def fake_tfds(tmp_path, features, splits=("train", "test"), prepared=True, change=None):
    """What sources uses of tensorflow-datasets, with 30 images a split."""
    change = change or (lambda image, label: (image, label))
    path = tmp_path / "tfds" / "pets"
    if prepared:
        path.mkdir(parents=True, exist_ok=True)

    def as_dataset(split):
        for number, image in enumerate(pixels(30, 48)):
            values = change(image, number % 2)
            image, label = (SimpleNamespace(numpy=lambda v=v: v) for v in values)
            yield {"image": image, "label": label}

    info = SimpleNamespace(
        features=features,
        splits={name: SimpleNamespace(num_examples=30) for name in splits},
        homepage="https://example.org",
        redistribution_info=SimpleNamespace(license=""),
    )

    def download():
        raise AssertionError("a download that asked no server first")

    builder = SimpleNamespace(
        info=info, data_path=path, as_dataset=as_dataset, download_and_prepare=download
    )
    kinds = SimpleNamespace(Image=FakeImage, ClassLabel=FakeLabel)
    return SimpleNamespace(builder=lambda name, **_: builder, features=kinds)


@pytest.mark.parametrize("splits", [("train", "test"), ("train", "validation"), ("train",)])
def test_any_set_of_tensorflow_datasets(splits, tmp_path, monkeypatch):
    features = {"image": FakeImage((None, None, 3)), "label": FakeLabel()}
    module = fake_tfds(tmp_path, features, splits)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", module)
    run = helpers.open_run("tfds:pets")
    images = helpers.prepare(run)
    assert run.name == "pets-tiny" and images.card["image_shape"] == [64, 64, 3]
    assert images.card["class_names"] == ["cat", "dog"] and images.card["labelled"]
    total = len(images.train_images) + len(images.held_out_images)
    assert total == 30 * len(splits)
    assert (
        len(images.held_out_images) == 30 if len(splits) == 2 else len(images.held_out_images) < 10
    )


PETS = {"image": FakeImage((None, None, 3)), "label": FakeLabel()}


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda image, label: (np.float32(image), label), "images of type float32"),
        (lambda image, label: (image, -1), "a label -1"),
    ],
    ids=["floats", "no labels"],
)
def test_a_set_that_does_not_fit_is_refused(change, part, tmp_path, monkeypatch):
    module = fake_tfds(tmp_path, PETS, change=change)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", module)
    run = helpers.open_run("tfds:pets")
    with pytest.raises(ValueError, match=f"pets has .*{part}"):
        helpers.prepare(run)
    assert not list(run.folder.iterdir())


def test_16_bit_and_transparent_images_of_tensorflow_datasets(tmp_path, monkeypatch):
    wide = lambda image, label: (  # noqa: E731
        np.dstack([np.uint16(image) * 257, np.full((48, 48, 1), 65535, np.uint16)]),
        label,
    )
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", fake_tfds(tmp_path, PETS, change=wide))
    images = helpers.prepare(helpers.open_run("tfds:pets", image_size=48))
    np.testing.assert_array_equal(images.train_images, pixels(30, 48))


def test_a_download_without_a_network_is_one_sentence(tmp_path, monkeypatch):
    def offline(url, place):
        raise OSError("no route to host")

    module = fake_tfds(tmp_path, PETS, prepared=False)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", module)
    monkeypatch.setattr(sources, "require_server", offline)
    with pytest.raises(ValueError, match=r"pets could not be downloaded \(no route to host\)"):
        helpers.prepare(helpers.open_run("tfds:pets"))


def test_a_name_that_tensorflow_datasets_does_not_know(monkeypatch):
    def builder(name, **options):
        raise LookupError(f"no {name}\nsee the list")

    module = SimpleNamespace(builder=builder)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", module)
    with pytest.raises(ValueError, match=r"has no set 'petz' \(no petz\); its catalogue"):
        helpers.prepare(helpers.open_run("tfds:petz"))


def test_a_set_without_images_is_refused(tmp_path, monkeypatch):
    module = fake_tfds(tmp_path, {"text": SimpleNamespace(), "label": FakeLabel()})
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", module)
    with pytest.raises(ValueError, match="pets has no images: its features are text, label"):
        helpers.prepare(helpers.open_run("tfds:pets"))


def test_a_broken_tensorflow_datasets_names_the_remedy(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", SimpleNamespace())  # as in Colab
    with pytest.raises(ValueError, match=r'%pip install "tensorflow-metadata<1\.18"'):
        helpers.prepare(helpers.open_run("tfds:pets"))
    assert "Not from tensorflow-datasets (AttributeError" in capsys.readouterr().out


def test_cifar_comes_from_keras_where_tensorflow_datasets_is_broken(monkeypatch):
    arrays = pixels(30, 32), labels(30)[:, None]
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", SimpleNamespace())
    monkeypatch.setattr(sources, "require_server", lambda url, place: None)
    monkeypatch.setattr("keras.datasets.cifar10.load_data", lambda: (arrays, arrays))
    images = helpers.prepare(helpers.open_run("tfds:cifar10"))
    assert images.card["read_from"] == "keras.datasets"
    assert images.train_images.shape == (30, 32, 32, 3)
    np.testing.assert_array_equal(images.train_labels, labels(30))


@pytest.mark.parametrize("dataset", ["cifar", "no/such/folder", "photos.zip", ""])
def test_what_is_no_source_is_refused_with_all_there_are(dataset):
    with pytest.raises(ValueError, match=r"DATASET is one of .*tfds:NAME") as caught:
        helpers.open_run(dataset)
    assert repr(dataset) in str(caught.value)


# Sets larger than memory


def test_a_large_set_stays_in_its_file_and_gives_the_same_batches(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", images=pixels(), labels=labels())
    run = helpers.open_run(str(tmp_path / "a.npz"))
    small = helpers.prepare(run)
    monkeypatch.setattr(preparation, "IN_MEMORY", 1000)
    large = helpers.prepare(run)
    assert isinstance(large.train_images, np.memmap) and not large.train_images.flags.writeable
    for split in ("train", "test"):
        for part in ("images", "labels"):
            name = f"{split}_{part}"
            np.testing.assert_array_equal(getattr(large, name), getattr(small, name))
    pair = (helpers.training_batches(x.train_images, 8, seed=1).take(9) for x in (small, large))
    for first, second in zip(*pair):
        np.testing.assert_array_equal(first, second)


def test_a_set_stored_class_by_class_is_shuffled_like_a_random_one():
    """Chi-square over the class counts of the batches; 0.001 on either side is no chance."""
    import tensorflow as tf

    images = np.zeros((20_000, 2, 2, 1), np.uint8)
    images[:, 0, 0, 0] = np.arange(20_000) // 2000
    batches = helpers.training_batches(images, 128, seed=0).take(400)
    classes = [
        np.rint((np.asarray(batch)[:, 0, 0, 0] + 1) * 127.5).astype(int) for batch in batches
    ]
    counts = np.stack([np.bincount(batch, minlength=10) for batch in classes])
    statistic = ((counts - 12.8) ** 2 / 12.8).sum()
    upper = float(tf.math.igammac(400 * 9 / 2, statistic / 2))
    assert 0.001 < upper < 0.999


@pytest.mark.parametrize(
    ("images", "profile", "steps"),
    [
        (10_000, "quick", 78),
        (3_000, "quick", 39),
        (200, "quick", 39),
        (60_000, "full", 468),
        (200_000, "full", 468),
        (512, "tiny", 4),
    ],
)
def test_steps_of_an_epoch(images, profile, steps):
    assert helpers.steps_per_epoch(range(images), 128, PROFILES[profile]) == steps


def test_a_training_resumes_in_the_middle_of_a_pass():
    images = np.broadcast_to(np.arange(20, dtype=np.uint8)[:, None, None, None], (20, 8, 8, 1))
    whole = list(helpers.training_batches(images, 4, seed=2).take(14))
    for first in (1, 4, 5, 7, 12):
        rest = helpers.training_batches(images, 4, seed=2, first_step=first).take(14 - first)
        for old, new in zip(whole[first:], rest, strict=True):
            np.testing.assert_array_equal(old, new)


def test_the_card_is_what_the_file_holds(photos):
    run = helpers.open_run(str(photos))
    card = helpers.prepare(run).card
    assert card == json.loads((run.folder / "dataset.json").read_text(encoding="utf-8"))
    with zipfile.ZipFile(run.folder / "images.npz") as archive:
        array = np.load(io.BytesIO(archive.read("train_images.npy")))
    assert list(array.shape) == [card["train_images"], *card["image_shape"]]
