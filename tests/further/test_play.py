"""The lesson to play with: other generators and pictures, and what it refuses."""

import keras
import numpy as np
from PIL import Image

import helpers
from helpers.machine import ROOT
from tests.further.cells import stopped_by
from tests.test_lessons import execute, printed

LESSON = ROOT / "notebooks" / "further" / "play.ipynb"


def test_orders_and_an_own_picture(tmp_path, monkeypatch):
    """A generator that takes orders, and the learner's picture as the last one to be found."""
    monkeypatch.setenv("DCGAN_RUNS", str(tmp_path / "runs"))
    Image.fromarray(np.full((60, 90, 3), 200, np.uint8)).save(tmp_path / "me.jpg")
    text = printed(
        execute(LESSON, LESSON.parent, CONDITIONAL=True, PICTURE=str(tmp_path / "me.jpg"))
    )
    assert "conditional_generator.keras" in text
    (line,) = [line for line in text.splitlines() if line.startswith("yours")]
    assert float(line.split()[-1]) < 60  # a gray square; black would be 200 away


def test_a_set_without_a_conditional_generator_is_told_so(tmp_path, monkeypatch):
    given = {"DATASET": "emoji", "CONDITIONAL": True}
    refused = stopped_by(LESSON, tmp_path, monkeypatch, "load", **given)
    assert refused.startswith(
        "CONDITIONAL is True, but there is no conditional generator of emoji;"
    )


def test_a_picture_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    refused = stopped_by(LESSON, tmp_path, monkeypatch, "targets", PICTURE="nowhere.png")
    assert refused == "PICTURE is 'nowhere.png', where no picture can be read; check the path."


def test_a_generator_that_begins_otherwise_is_named(tmp_path, monkeypatch):
    layers = keras.layers
    own = keras.Sequential([
        keras.Input((100,)),
        layers.Reshape((1, 1, 100), name="pixel"),
        layers.Conv2DTranspose(1, 28, activation="tanh"),
    ])  # fmt: skip
    folder = tmp_path / "runs" / "fashion_mnist-28-tiny"
    helpers.save_model(own, folder / "generator_trained.keras")
    judge = keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten(), layers.Dense(1)])
    helpers.save_model(judge, folder / "discriminator_trained.keras")
    refused = stopped_by(LESSON, tmp_path, monkeypatch, "directions")
    assert (
        refused
        == "Your generator begins with pixel; this lesson finds directions in a Dense layer."
    )
