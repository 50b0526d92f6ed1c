"""What the repository ships of other people's images, and of trainings."""

import numpy as np
import pytest
from PIL import Image

import helpers
from assets.make import emoji, lesson_pictures, trials
from helpers.machine import ASSETS
from helpers.training.history import diagnose

EMOJI = ASSETS / "datasets" / "emoji.npz"


@pytest.fixture(scope="module")
def shipped():
    with np.load(EMOJI) as file:
        return dict(file)


def test_emoji_are_colour_images_without_labels(shipped):
    assert set(shipped) == {"train_images", "train_labels", "test_images", "test_labels"}
    for split, least in (("train", 3000), ("test", 300)):
        images, labels = shipped[f"{split}_images"], shipped[f"{split}_labels"]
        assert images.dtype == labels.dtype == np.uint8
        assert images.shape == (len(labels), 64, 64, 3) and len(images) >= least
        assert not labels.any()
        assert images.min() == 0 and images.max() == 255
    assert EMOJI.stat().st_size <= 12_000_000


def test_emoji_stand_on_white(shipped):
    """Corners are white where a drawing leaves them free, as nearly all do; never black."""
    for split in ("train", "test"):
        corners = shipped[f"{split}_images"][:, [0, 0, -1, -1], [0, -1, 0, -1]]
        assert np.mean((corners == 255).all(axis=-1)) > 0.85
        assert np.mean((corners == 0).all(axis=-1)) < 0.01


def test_no_emoji_is_there_twice(shipped):
    contents = [image.tobytes() for s in ("train", "test") for image in shipped[f"{s}_images"]]
    assert len(set(contents)) == len(contents)


def test_the_first_emoji_are_in_no_order(shipped):
    """A profile takes the first so many, which must not be variants of a few drawings."""
    images = shipped["train_images"][:512].reshape(512, -1).astype(np.float32)
    steps = np.linalg.norm(np.diff(images, axis=0), axis=1)
    elsewhere = np.linalg.norm(images - images[::-1], axis=1)
    assert np.median(steps) > 0.9 * np.median(elsewhere)


def test_the_licence_of_the_emoji_is_there(shipped):
    text = (ASSETS / "LICENSE-noto-emoji.txt").read_text(encoding="utf-8")
    assert "Apache License" in text and "END OF TERMS AND CONDITIONS" in text
    readme = (ASSETS / "README.md").read_text(encoding="utf-8")
    assert "(LICENSE-noto-emoji.txt)" in readme
    for split in ("train", "test"):
        assert f"{len(shipped[f'{split}_images']):,} " in readme


def test_variants_belong_to_one_drawing():
    for code_points, drawing in (
        ("1f44d-1f3fb", "1f44d"),
        ("270c-fe0f", "270c"),
        ("1f3c3-1f3ff-200d-2640-fe0f-200d-27a1-fe0f", "1f3c3-200d-2640"),  # a mirror image
        ("1f9d1-1f3fb-200d-1f91d-200d-1f9d1-1f3fe", "1f9d1-200d-1f91d-200d-1f9d1"),
        ("1f3fb", "1f3fb"),  # a skin tone by itself is a drawing
        ("27a1-fe0f", "27a1"),
    ):
        assert emoji.drawing_of(code_points) == drawing


def test_transparency_of_every_colour_mode_is_laid_on_white():
    half = Image.new("RGBA", (64, 64), (255, 0, 0, 128))
    np.testing.assert_array_equal(emoji.on_white(half)[0, 0], [255, 127, 127])
    gray = Image.new("LA", (64, 64), (0, 0))
    assert (emoji.on_white(gray) == 255).all()
    palette = Image.new("P", (64, 64), 0)
    palette.putpalette([9, 9, 9, 10, 200, 30])
    palette.putpixel((5, 3), 1)
    palette.info["transparency"] = 0
    pixels = emoji.on_white(palette)
    np.testing.assert_array_equal(pixels[3, 5], [10, 200, 30])
    assert (pixels[0] == 255).all()
    with pytest.raises(ValueError, match="64 pixels"):
        emoji.on_white(half.resize((32, 32)))


def test_drawings_are_held_out_whole():
    """Twenty drawings of three variants; two drawings share a picture, so they go together."""
    pictures = np.zeros((60, 64, 64, 3), np.uint8)
    pictures[:, 0, 0, 0] = np.arange(60)
    pictures[:, 0, 0, 1] = np.arange(60) // 3  # the drawing, to be read from the picture
    drawings = [str(index // 3) for index in range(60)]
    for seed in range(30):
        twins = pictures.copy()
        twins[59] = twins[0]  # of drawing 19, like one of drawing 0
        arrays = emoji.split_drawings(twins, drawings, seed)
        train, test = (set(arrays[f"{s}_images"][:, 0, 0, 1].tolist()) for s in ("train", "test"))
        assert not train & test and len(train | test) == 20
        assert {0, 19} <= train or {0, 19} <= test
        assert len(arrays["train_images"]) + len(arrays["test_images"]) == 59
        again = emoji.split_drawings(twins, drawings, seed)
        assert all(np.array_equal(arrays[name], again[name]) for name in arrays)
        first = arrays["train_images"][: len(train) - ({0, 19} <= train), 0, 0, 1]
        assert len(np.unique(first)) == len(first)  # each drawing once before any variant


def test_the_trainings_show_what_lesson_5_says():
    """After equally many images and after equal time, every seed of the course's is ahead."""
    trainings = helpers.load_trainings()
    for recipe, amount, of, others in (
        ("course", 50_000, "images_seen", ("plain", "tutorial")),
        ("no noise", 120, "seconds", ("tutorial",)),
    ):
        rows = trainings[trainings["processor"] == "AVX2"] if of == "seconds" else trainings
        course = helpers.distances_after(rows, recipe, amount, of)
        assert len(course) >= 3
        for other in others:
            assert course.max() < helpers.distances_after(rows, other, amount, of).min()


def test_every_shipped_run_is_whole():
    names = {"fashion_mnist-28", "mnist-28", "emoji-64"}
    assert {path.name for path in (ASSETS / "trained").iterdir()} == names
    for name in names:
        folder = ASSETS / "trained" / name
        history = helpers.load_table(folder / "history.csv")
        best = helpers.load_json(folder / "distance.json")["best"]
        assert best["epoch"] == history["epoch"][np.nanargmin(history["distance"])]
        assert best["value"] == np.nanmin(history["distance"])
        shape = tuple(helpers.load_json(folder / "dataset.json")["image_shape"])
        generator, discriminator = (
            helpers.load_model(folder / f"{network}_trained.keras")
            for network in ("generator", "discriminator")
        )
        assert generator.output_shape[1:] == discriminator.input_shape[1:] == shape
        for gif in ("training.gif", "training_small.gif"):
            with Image.open(folder / gif) as frames:
                assert frames.n_frames > 10
        assert set(helpers.load_json(folder / "metrics.json")["scores"]) == {
            "last epoch", "best epoch", "training images",
        }  # fmt: skip


def test_every_trial_is_whole():
    folders = {path.name: path for path in (ASSETS / "trials").iterdir()}
    assert set(folders) == set(trials.TRIALS)
    for name, folder in folders.items():
        assert {path.name for path in folder.iterdir()} == {
            "history.csv", "training.gif", "last.png",
        }  # fmt: skip
        history = helpers.load_table(folder / "history.csv")
        epochs = trials.TRIALS[name].get("epochs", trials.EPOCHS)
        assert list(history["epoch"]) == list(range(1, epochs + 1))
        assert np.isfinite(history).all(axis=None)
        with Image.open(folder / "training.gif") as frames, Image.open(folder / "last.png") as last:
            assert frames.n_frames > 10 and last.size == (364, 364)
        assert sum(path.stat().st_size for path in folder.iterdir()) < 300_000
        won = diagnose(history.to_dict("records")).startswith("The discriminator has won")
        assert won == (name == "won")


@pytest.mark.parametrize("name", ["game", "pipeline", "networks", "step"])
def test_every_diagram_is_there(name):
    path = ASSETS / "diagrams" / f"{name}.png"
    with Image.open(path) as picture:
        assert picture.format == "PNG" and picture.width >= 1200
    assert path.stat().st_size < 70_000


def test_a_thumbnail_is_filled_without_margins():
    picture = np.full((100, 400, 3), 255, np.uint8)
    picture[30:90, 110:190] = 7  # in the left half; the right half is not asked for
    picture[:, 200:] = 99
    small = lesson_pictures.thumbnail(picture, part=(0, 0, 0.5, 1))
    assert small.shape == (200, 300, 3) and (small == 7).all()


@pytest.mark.parametrize(
    ("lesson", "line"),
    [(name, line) for name, (line, _) in lesson_pictures.PICTURES.items()] + [lesson_pictures.PLOT],
)
def test_the_picture_of_a_lesson_is_still_in_its_notebook(lesson, line):
    assert lesson_pictures.first_picture(lesson, line).dtype == np.uint8
