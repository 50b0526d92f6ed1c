"""Prepared images and the dataset card."""

import json

import numpy as np
import pytest

import helpers
from helpers import preparation, sources

SPLITS = ("train", "test")


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DCGAN_RUNS", str(tmp_path))
    monkeypatch.setenv("DCGAN_PROFILE", "tiny")
    return tmp_path


def test_open_run_names_but_makes_no_folder(own_folder):
    run = helpers.open_run("mnist", image_size=32)
    assert run.name == "mnist-32-tiny" and run.folder == own_folder / run.name
    assert helpers.open_run("mnist", name="my.run").folder == own_folder / "my.run"
    assert list(own_folder.iterdir()) == []


@pytest.mark.parametrize(("dataset", "size"), [("fashion_mnist", 28), ("mnist", 32)])
def test_prepared_images_and_card_agree(dataset, size, capsys):
    run = helpers.open_run(dataset, image_size=size)
    images = helpers.prepare(run)
    for split, count in (
        ("train", run.profile.train_images),
        ("test", run.profile.held_out_images),
    ):
        pixels, labels = (getattr(images, f"{split}_{part}") for part in ("images", "labels"))
        assert pixels.dtype == np.uint8 and pixels.shape == (count, size, size, 1)
        assert labels.dtype == np.int64 and labels.shape == (count,)
        counts = [int(np.sum(labels == label)) for label in range(10)]
        assert max(counts) - min(counts) <= 1 and sum(counts) == count
        assert images.card["class_counts"][split] == counts
        assert images.card[f"{split}_images"] == count
    assert images.card == json.loads((run.folder / "dataset.json").read_text(encoding="utf-8"))
    source = helpers.SOURCES[dataset]
    wanted = {
        "dataset": dataset,
        "title": source.title,
        "source": source.url,
        "licence": source.licence,
        "shows_people": source.shows_people,
        "profile": "tiny",
        "image_shape": [size, size, 1],
        "class_names": list(source.class_names),
    }
    assert wanted.items() <= images.card.items()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 and lines[0].startswith("Images: made now")
    assert f"runs/{run.name}/images.npz" in lines[0]


def test_labels_stay_with_their_images():
    """Every prepared image is one of the source's, with the label it has there."""
    images = helpers.prepare(helpers.open_run("mnist"))
    arrays, _ = helpers.load_source("mnist", whole=False)
    for split in SPLITS:
        known = {
            pixels.tobytes(): label
            for pixels, label in zip(arrays[f"{split}_images"], arrays[f"{split}_labels"])
        }
        kept = [pixels.tobytes() for pixels in getattr(images, f"{split}_images")]
        assert len(set(kept)) == len(kept)
        assert [known[key] for key in kept] == getattr(images, f"{split}_labels").tolist()


def test_second_time_reads_what_the_first_saved(monkeypatch, capsys):
    run = helpers.open_run("mnist", name="mine")
    first = helpers.prepare(run)
    capsys.readouterr()

    def refuse(*_, **__):
        raise AssertionError("the source was read again")

    monkeypatch.setattr(preparation, "open_source", refuse)
    second = helpers.prepare(helpers.open_run("mnist", name="mine"))
    assert capsys.readouterr().out.startswith("Images: yours")
    assert second.card == first.card
    for split in SPLITS:
        for part in ("images", "labels"):
            old, new = getattr(first, f"{split}_{part}"), getattr(second, f"{split}_{part}")
            assert old.dtype == new.dtype
            np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("lost", ["dataset.json", "images.npz"])
def test_half_a_preparation_is_made_again(lost, capsys):
    run = helpers.open_run("mnist")
    first = helpers.prepare(run)
    (run.folder / lost).unlink()
    again = helpers.prepare(run)
    assert capsys.readouterr().out.count("made now") == 2
    np.testing.assert_array_equal(first.train_images, again.train_images)
    assert (run.folder / lost).is_file()


@pytest.mark.parametrize(("profile", "whole"), [("quick", False), ("full", True)])
def test_profile_decides_how_much_is_read(profile, whole, monkeypatch):
    monkeypatch.setenv("DCGAN_PROFILE", profile)
    arrays, _ = helpers.load_source("mnist", whole=False)
    asked = []

    def read(dataset, whole):
        asked.append((dataset, whole))
        return {name: array[:300] for name, array in arrays.items()}, "a test"

    monkeypatch.setattr(sources, "load_source", read)
    images = helpers.prepare(helpers.open_run("mnist"))
    assert asked == [("mnist", whole)]
    assert images.card["train_images"] == len(images.train_images) == 300
    assert images.card["read_from"] == "a test"


@pytest.mark.parametrize(("size", "to"), [(28, 32), (28, 14), (28, 64), (28, 28)])
@pytest.mark.parametrize("channels", [1, 3])
def test_resize(size, to, channels):
    random = np.random.default_rng(1)
    flat = np.full((2, size, size, channels), [[[[7]]], [[[255]]]], np.uint8)
    noise = random.integers(0, 256, (3, size, size, channels), np.uint8)
    images = np.concatenate([flat, noise])
    small = helpers.resize(images, to)
    assert small.dtype == np.uint8 and small.shape == (5, to, to, channels)
    assert (small[0] == 7).all() and (small[1] == 255).all()
    difference = small[2:].mean(axis=(1, 2)) - noise.mean(axis=(1, 2))
    assert np.abs(difference).max() < 5
    if size == to:
        np.testing.assert_array_equal(small, images)


def test_resize_keeps_directions():
    """A ramp from left to right stays one, and rows and columns are not exchanged."""
    ramp = np.broadcast_to(np.arange(0, 252, 9, np.uint8)[None, None, :, None], (1, 28, 28, 1))
    for size in (14, 32):
        resized = helpers.resize(ramp, size)[0, :, :, 0].astype(int)
        assert (np.diff(resized, axis=1) > 0).all()
        assert np.ptp(resized, axis=0).max() <= 1  # rounding


def test_resize_smooths_when_it_shrinks():
    """Without antialiasing only 4 of 16 pixels count, and noise keeps about half its spread."""
    noise = np.random.default_rng(2).integers(0, 256, (4, 56, 56, 1), np.uint8)
    assert helpers.resize(noise, 14).std() < 0.3 * noise.std()


def test_resize_of_many_blocks_keeps_order():
    levels = np.random.default_rng(3).integers(0, 256, 4100, np.uint8)
    images = np.broadcast_to(levels[:, None, None, None], (4100, 4, 4, 1))
    small = helpers.resize(images, 2)
    np.testing.assert_array_equal(small[:, 0, 0, 0], levels)


@pytest.mark.parametrize("count", [1, 7, 10, 12, 29])
def test_balanced_choice_on_uneven_classes(count):
    labels = np.array([0] * 20 + [1] * 6 + [2] * 4)
    np.random.default_rng(0).shuffle(labels)
    chosen = preparation._balanced(labels, count)
    assert len(set(chosen.tolist())) == count and (np.diff(chosen) > 0).all()
    counts = np.bincount(labels[chosen], minlength=3)
    for label, there_are in enumerate((20, 6, 4)):
        # No class falls behind another unless it has no more images.
        assert counts[label] == there_are or counts[label] >= counts.max() - 1
