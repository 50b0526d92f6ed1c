"""What DATASET names, from every kind of source to prepared images that runs share."""

import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from pictures import encode, noise, refused, write

import helpers
from helpers.data import preparation
from helpers.data.opening import slug
from helpers.machine import ROOT

COUNT = 60
LABELS = np.arange(COUNT) * 3 // COUNT  # class by class


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch):
    monkeypatch.setenv("DCGAN_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("DCGAN_PROFILE", "tiny")
    return tmp_path / "runs"


@pytest.fixture
def photos(tmp_path):
    """A folder of colour pictures, higher than wide, in three classes."""
    for number, (image, label) in enumerate(zip(noise(), LABELS)):
        high = np.pad(image, ((5, 5), (0, 0), (0, 0)))
        write(tmp_path / "photos" / "abc"[label] / f"{number:03d}.png", encode(high))
    return tmp_path / "photos"


def save(path, images, **labels):
    np.savez(path, images=images, **labels)
    return path


def prepare(dataset, background="", **options):
    return helpers.prepare(helpers.open_run(str(dataset), **options), background)


def splits(images):
    return (
        (images.train_images, images.train_labels),
        (images.held_out_images, images.held_out_labels),
    )


def trained(run, images):
    """As lesson 4 leaves a run, as far as `prepare` looks."""
    record = {"id": "a", "epoch": 1, "settings": {"images": images.card["images"], "data": "these"}}
    path = run.folder / "checkpoints" / "epoch_0001.zip"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("record.json", json.dumps(record))


# Runs and their names


def test_names_of_runs_and_of_folders_of_images(runs, photos):
    for arguments, name in (
        ((str(photos),), "photos-tiny"),
        ((str(photos), 64), "photos-64-tiny"),
        ((str(photos), 64, "", "", 1), "photos-64-gray-tiny"),
        (("mnist", 0, "", "", 1), "mnist-28-tiny"),
        (("mnist", 32, "", "", 3), "mnist-32-colour-tiny"),
        (("emoji",), "emoji-64-tiny"),
        (("tfds:cifar10:3.0.2",), "cifar10_3_0_2-tiny"),
    ):
        run = helpers.open_run(*arguments)
        assert (run.folder, run.images_folder) == (runs / name, runs / "images" / name)
    mine = helpers.open_run("mnist", name="my.run")
    assert (mine.name, mine.images_folder) == ("my.run", runs / "images" / "mnist-28-tiny")
    assert not runs.exists()
    assert slug("a/b\\my cats.v2.zip/") == "my_cats_v2" and slug("tfds:a/32x32") == "a_32x32"


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ({"dataset": "cifar"}, ["'cifar'", "DATASET is one of fashion_mnist, mnist", "tfds:NAME"]),
        ({"dataset": ""}, ["''", "DATASET is one of"]),
        ({"dataset": "x" * 300}, ["DATASET is one of"]),
        ({"dataset": "a\0b", "name": "x"}, ["DATASET is one of"]),
        ({"image_size": 7}, ["IMAGE_SIZE is 7", "a whole number from 8, or 0"]),
        ({"image_size": -64}, ["IMAGE_SIZE is -64", "a whole number from 8"]),
        ({"image_size": 64.0}, ["IMAGE_SIZE is 64.0", "a whole number from 8"]),
        ({"channels": 2}, ["CHANNELS is 2", "1 for gray"]),
        ({"name": "a/b"}, ["RUN_NAME is 'a/b'", "one folder"]),
        ({"name": ".."}, ["RUN_NAME is '..'"]),
        ({"name": "replaced"}, ["RUN_NAME is 'replaced'", "other than 'images'"]),
    ],
)
def test_parameters_that_name_nothing(arguments, parts):
    refused(lambda: helpers.open_run(**{"dataset": "mnist"} | arguments), *parts)


def test_settings_of_keras_that_no_lesson_works_with_are_refused():
    keras.config.set_image_data_format("channels_first")
    keras.config.set_dtype_policy("mixed_float16")
    try:
        parts = ["mixed_float16 and channels_first", "PRECISION", "restart the kernel without"]
        refused(lambda: helpers.open_run("mnist"), *parts)
    finally:
        keras.config.set_image_data_format("channels_last")
        keras.config.set_dtype_policy("float32")
    helpers.open_run("mnist")


def test_a_run_made_by_an_earlier_course_is_refused(runs):
    for name in ("images.npz", "checkpoints/step_0000010.npz"):
        write(runs / "mine" / name, b"")
        parts = ["runs/mine was made by an earlier version", "another RUN_NAME, or move"]
        refused(lambda: helpers.open_run("mnist", name="mine"), *parts)
        shutil.rmtree(runs / "mine")


def test_a_folder_that_holds_the_course_or_its_runs_is_refused(tmp_path):
    for folder in (ROOT.parent, tmp_path):
        refused(lambda folder=folder: prepare(folder), "holds the course itself")


# Preparing


@pytest.mark.parametrize(("dataset", "size"), [("fashion_mnist", 28), ("mnist", 32)])
def test_known_sets_card_and_folder(dataset, size, runs, capsys):
    run = helpers.open_run(dataset, size)
    images = helpers.prepare(run)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("Images: made now from the course's assets, saved in runs/images/")
    known = {}
    for split, count in (("train", 512), ("held_out", 200)):
        pixels, labels = getattr(images, f"{split}_images"), getattr(images, f"{split}_labels")
        assert pixels.dtype == np.uint8 and pixels.shape == (count, size, size, 1)
        assert labels.dtype == np.int64 and images.card[f"{split}_images"] == count
        counts = np.bincount(labels)
        assert np.ptp(counts) <= 1 and images.card["class_counts"][split] == counts.tolist()
        np.testing.assert_array_equal(np.load(run.images_folder / f"{split}_images.npy"), pixels)
        source = helpers.load_source(dataset, whole=False)[0]
        name = "train" if split == "train" else "test"
        known = {
            image.tobytes(): label
            for image, label in zip(
                helpers.resize(source[f"{name}_images"], size), source[f"{name}_labels"]
            )
        }
        assert [known[image.tobytes()] for image in pixels] == labels.tolist()
    about = helpers.SOURCES[dataset]
    wanted = {"dataset": dataset, "title": about.title, "licence": about.licence, "profile": "tiny"}
    assert (wanted | {"image_shape": [size, size, 1]}).items() <= images.card.items()
    card = json.loads((run.images_folder / "dataset.json").read_text(encoding="utf-8"))
    assert card == images.card

    again = helpers.prepare(helpers.open_run(dataset, size, "another"))
    assert capsys.readouterr().out == f"Images: yours, from runs/images/{dataset}-{size}-tiny.\n"
    for (old, old_labels), (new, new_labels) in zip(splits(images), splits(again)):
        np.testing.assert_array_equal(old, new)
        np.testing.assert_array_equal(old_labels, new_labels)


def make_zip(tmp_path, photos):
    return shutil.make_archive(str(tmp_path / "photos"), "zip", photos)


def make_csv(tmp_path, photos):
    rows = np.column_stack([LABELS, noise(side=28, channels=1).reshape(COUNT, -1)])
    header = ",".join(["label", *(f"pixel{n}" for n in range(1, 785))])
    path = tmp_path / "photos.csv"
    np.savetxt(path, rows, fmt="%d", delimiter=",", header=header, comments="")
    return path


@pytest.mark.parametrize(
    ("make", "shape", "classes"),
    [
        (lambda tmp_path, photos: photos, [64, 64, 3], ["a", "b", "c"]),
        (make_zip, [64, 64, 3], ["a", "b", "c"]),
        (make_csv, [28, 28, 1], ["0", "1", "2"]),
        (lambda t, _: save(t / "photos.npz", noise(), labels=LABELS), [64, 64, 3], list("012")),
        (lambda t, _: save(t / "photos.npz", noise(side=30)), [32, 32, 3], ["all images"]),
    ],
    ids=["folder", "zip", "csv", "npz", "npz without labels"],
)
def test_every_kind_of_file_is_prepared(make, shape, classes, tmp_path, photos, capsys):
    images = prepare(make(tmp_path, photos))
    assert "runs/images/photos-tiny" in capsys.readouterr().out
    card = images.card
    assert (card["image_shape"], card["class_names"]) == (shape, classes)
    assert card["labelled"] == (len(classes) > 1) and card["title"].startswith("photos")
    assert card["train_images"] + card["held_out_images"] == COUNT
    assert 1 <= card["held_out_images"] <= 15  # about one in ten
    counts = np.sum(list(card["class_counts"].values()), axis=0).tolist()
    assert counts == ([20, 20, 20] if len(classes) > 1 else [COUNT])


def test_pictures_are_cropped_in_the_middle_and_stay_with_their_labels(photos):
    images = prepare(photos, image_size=40)
    known = {image.tobytes(): label for image, label in zip(noise(), LABELS)}
    for pixels, labels in splits(images):
        assert [known[image.tobytes()] for image in pixels] == labels.tolist()


def test_size_and_channels_are_the_pictures_own_or_as_asked(tmp_path):
    for side, size in ((20, 28), (28, 28), (33, 64), (100, 64)):
        images = prepare(save(tmp_path / f"a{side}.npz", noise(side=side, channels=1)))
        assert images.card["image_shape"] == [size, size, 1]
    gray = save(tmp_path / "b.npz", noise(side=28, channels=1).repeat(3, axis=-1))
    assert prepare(gray).train_images.shape[-1] == 1  # in three equal channels
    assert prepare(gray, channels=3).train_images.shape[-1] == 3
    assert prepare(gray).train_images.shape[-1] == 1  # the others lie elsewhere
    assert prepare(save(tmp_path / "c.npz", noise()), channels=1).train_images.shape[-1] == 1


def test_equal_pictures_and_those_of_one_colour_are_counted_and_the_former_stay_together(
    tmp_path, capsys
):
    pixels = noise(100, 28).repeat(3, axis=0)
    pixels[:6] = (200, 10, 0)
    images = prepare(save(tmp_path / "a.npz", pixels))
    assert images.card["duplicates"] == 201 and images.card["one_colour"] == 6
    printed = capsys.readouterr().out
    assert "201 of 300 images are exact copies of others." in printed
    assert "6 images are of one colour all over;" in printed
    train, held_out = ({image.tobytes() for image in pixels} for pixels, _ in splits(images))
    assert held_out and not train & held_out


def test_what_cannot_be_read_is_skipped_with_count_and_names(photos, runs, capsys):
    (photos / "a" / "000.png").write_bytes((photos / "a" / "000.png").read_bytes()[:200])
    write(photos / "b" / "empty.jpg", b"")
    write(photos / "c" / "text.png", b"not a picture")
    card = prepare(photos).card
    assert card["skipped"] == 3 and card["train_images"] + card["held_out_images"] == COUNT - 1
    assert "Skipped 3: a/000.png (truncated" in capsys.readouterr().out


def test_a_preparation_that_fails_leaves_what_was_there(photos, runs, tmp_path, monkeypatch):
    before = prepare(photos)
    whole = {path: path.read_bytes() for path in photos.rglob("*.png")}
    for path in whole:
        path.write_bytes(b"")
    parts = ["photos gives 0 pictures to train on", "60 were skipped: a/000.png (empty)"]
    refused(lambda: prepare(photos), *parts)
    assert os.listdir(runs / "images") == ["photos-tiny"]
    for path, content in whole.items():
        path.write_bytes(content)
    assert prepare(photos).card == before.card
    write(tmp_path / "file", b"")
    monkeypatch.setenv("DCGAN_RUNS", str(tmp_path / "file"))
    refused(lambda: prepare(photos), "Could not prepare photos (", "DCGAN_RUNS", kind=OSError)


def test_a_profile_takes_equally_many_of_each_class(tmp_path):
    labels = np.repeat([5, 6, 7], [900, 100, 500])
    images = prepare(save(tmp_path / "a.npz", noise(1500, 28, 1), labels=labels))
    counts = np.sum(list(images.card["class_counts"].values()), axis=0)
    assert counts.tolist() == [235, 100, 234]  # of round(512 / 0.9)
    assert prepare(save(tmp_path / "b.npz", noise(1500, 28, 1))).card["train_images"] > 480


def test_a_full_set_larger_than_memory_stays_in_its_file(tmp_path, monkeypatch):
    path = save(tmp_path / "a.npz", noise(COUNT, 64))
    small = prepare(path)
    monkeypatch.setattr(preparation, "IN_MEMORY", 1000)
    large = prepare(path)
    assert isinstance(large.train_images, np.memmap) and not large.train_images.flags.writeable
    for (images, labels), (others, other_labels) in zip(splits(small), splits(large)):
        np.testing.assert_array_equal(images, others)
        np.testing.assert_array_equal(labels, other_labels)
    pair = (helpers.training_batches(x.train_images, 8, seed=1).take(9) for x in (small, large))
    for first, second in zip(*pair):
        np.testing.assert_array_equal(first, second)


# Changes


def test_new_pictures_are_prepared_anew_and_a_run_trained_on_others_refuses(photos, capsys):
    run = helpers.open_run(str(photos))
    before = helpers.prepare(run)
    trained(run, before)
    helpers.prepare(run)
    write(photos / "a" / "new.png", encode(noise(1)[0]))
    parts = ["runs/photos-tiny was trained on other images (these)", "another RUN_NAME"]
    capsys.readouterr()
    refused(lambda: helpers.prepare(run), *parts)
    lines = capsys.readouterr().out.splitlines()
    assert (
        lines[0] == "The files of photos are not those that were prepared; they are prepared anew."
    )
    after = prepare(photos, name="another")
    total = after.card["train_images"] + after.card["held_out_images"]
    assert total == COUNT + 1 and after.card["images"] != before.card["images"]
    (photos / "a" / "new.png").unlink()
    assert helpers.prepare(run).card == before.card  # and goes on


def test_another_background_is_prepared_anew_and_stays(photos, capsys):
    write(photos / "a" / "glass.png", encode(np.zeros((40, 40, 4), np.uint8)))
    for background, value in (("black", 0), ("white", 255), ("", 255), ("#000000", 0)):
        images = prepare(photos, background)
        pixels = np.concatenate([pixels for pixels, _ in splits(images)])
        assert [image.max() for image in pixels if np.ptp(image) == 0] == [value]
    assert "BACKGROUND was white and is #000000 now; they are" in capsys.readouterr().out
    write(photos / "a" / "new.png", encode(noise(1)[0]))
    assert prepare(photos).card["background"] == "#000000"
    capsys.readouterr()
    prepare(photos, "black")  # the same colour
    assert capsys.readouterr().out.startswith("Images: yours")


def test_a_background_that_lies_under_nothing_is_refused(tmp_path):
    array = save(tmp_path / "array.npz", noise(12))
    for dataset in ("emoji", array):
        prepare(dataset, "#ffffff")  # what it has anyway
    refused(lambda: prepare("emoji", "black"), "BACKGROUND is 'black', and only", "'emoji' has")
    refused(lambda: prepare(array, "black"), "BACKGROUND is 'black', and only", "'array.npz' has")


def test_prepared_pictures_outlive_their_folder(photos):
    before = prepare(photos)
    shutil.rmtree(photos)
    np.testing.assert_array_equal(prepare(photos).held_out_images, before.held_out_images)
    with pytest.raises(helpers.refused.Refused, match=r"There is no data set .*DATASET is one of"):
        prepare(photos, image_size=32)


def test_a_file_is_not_taken_for_a_known_set_of_that_name(tmp_path, runs):
    known = prepare("mnist")
    path = save(tmp_path / "mnist.npz", noise(side=28, channels=1))
    parts = ["runs/images/mnist-28-tiny holds the images of mnist", "mnist.npz", "RUN_NAME"]
    refused(lambda: prepare(path, image_size=28), *parts)
    assert prepare(path, image_size=28, name="mine").card["title"] == "mnist.npz"
    assert prepare("mnist").card == known.card


def test_two_folders_of_one_name_are_two_sets(tmp_path, runs):
    for name, image in (("a", 40), ("b", 200)):
        for number in range(20):
            picture = np.full((32, 32, 3), image + number, np.uint8)
            write(tmp_path / name / "faces" / f"{number}.bmp", encode(picture, "BMP"))
    first = prepare(tmp_path / "a/faces")
    parts = ["runs/images/faces-tiny holds the images of a/faces", "b/faces", "RUN_NAME"]
    refused(lambda: prepare(tmp_path / "b/faces"), *parts)
    second = prepare(tmp_path / "b/faces", name="second")
    assert second.train_images.min() >= 200 > 100 > first.train_images.max()
    assert prepare(tmp_path / "a/faces").card == first.card
    shutil.move(tmp_path / "a", tmp_path / "c")  # the same set at another place
    assert prepare(tmp_path / "c/faces").card["images"] == first.card["images"]
    assert len(list((runs / "images").iterdir())) == 2


def test_a_picture_edited_in_place_is_a_change(tmp_path, capsys):
    """Of the same size and time, as after an undo; what only looks changed is not made again."""
    for number in range(20):
        write(tmp_path / "own" / f"{number}.bmp", encode(noise(20, 32)[number], "BMP"))
    before, path = prepare(tmp_path / "own"), tmp_path / "own" / "3.bmp"
    status, content = path.stat(), bytearray(path.read_bytes())
    path.write_bytes(content)
    capsys.readouterr()
    assert prepare(tmp_path / "own").card["images"] == before.card["images"]
    assert "Images: yours" in capsys.readouterr().out
    content[-1] ^= 255
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert prepare(tmp_path / "own").card["images"] != before.card["images"]
    assert "The files of own are not those that were prepared" in capsys.readouterr().out


# Whole or not there


def test_what_is_not_whole_is_made_again():
    run = helpers.open_run("mnist")
    first = helpers.prepare(run)
    for name in ("dataset.json", "train_images.npy", "held_out_labels.npy"):
        path = run.images_folder / name
        for content in (path.read_bytes()[:-9], b"", b"[]"):
            path.write_bytes(content)
            assert helpers.prepare(run).card == first.card
        path.unlink()
        np.testing.assert_array_equal(helpers.prepare(run).train_images, first.train_images)


def test_a_killed_preparation_leaves_nothing_to_be_taken_for_whole(runs, tmp_path, monkeypatch):
    code = """
import sys, time, types
import numpy as np

def examples(split):
    for number in range(40):
        if SLOW and number == 20:
            time.sleep(600)
        yield {"image": types.SimpleNamespace(numpy=lambda: np.full((64, 64, 3), number, "u1"))}

image = type("Image", (), {"shape": (64, 64, 3)})
info = types.SimpleNamespace(
    features={"image": image()}, homepage="https://example.org",
    splits={name: types.SimpleNamespace(num_examples=40) for name in ("train", "test")},
    redistribution_info=types.SimpleNamespace(license=""),
)
features = types.SimpleNamespace(Image=image, ClassLabel=bytes)

def builder(name, **options):
    return types.SimpleNamespace(info=info, as_dataset=examples, data_path=PATH)
"""
    module = f"import pathlib\nPATH = pathlib.Path({str(tmp_path)!r})\n" + code
    write(tmp_path / "modules" / "tensorflow_datasets.py", f"SLOW = True\n{module}".encode())
    environment = os.environ | {"PYTHONPATH": f"{tmp_path / 'modules'}{os.pathsep}{ROOT}"}
    code = "import helpers; helpers.prepare(helpers.open_run('tfds:pets'))"
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, cwd=tmp_path)
    try:
        for _ in range(1200):
            if list(runs.glob("images/**/train_images.npy")) or process.poll() is not None:
                break
            time.sleep(0.05)
        time.sleep(0.5)
    finally:
        process.kill()
    assert process.wait() < 0  # it was at work until then
    (left,) = (runs / "images").iterdir()
    assert left.name.startswith(".partial-")
    os.utime(left, (0, 0))
    at_work = left.with_name(".partial-pets-tiny-beside")  # another one, which must not lose it
    at_work.mkdir()
    names = {}
    exec(f"SLOW = False\n{module}", names)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", SimpleNamespace(**names))
    images = prepare("tfds:pets")
    assert images.train_images[:, 0, 0, 0].tolist() == list(range(40))
    assert {path.name for path in (runs / "images").iterdir()} == {"pets-tiny", at_work.name}
