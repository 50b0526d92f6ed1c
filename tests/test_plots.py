"""Grids, figures and GIFs."""

import io
import math

import imageio.v3 as iio
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

import helpers
from helpers import plots

RANDOM = np.random.default_rng(0)
GRAY = RANDOM.integers(0, 200, (7, 5, 6, 1), np.uint8)
COLOUR = RANDOM.integers(0, 200, (7, 5, 6, 3), np.uint8)


@pytest.fixture
def figure(monkeypatch):
    """Figures stay open for a look at them, and are closed after the test."""
    monkeypatch.setattr(plt, "show", lambda: None)
    plt.close("all")
    yield plt.gcf
    plt.close("all")


@pytest.mark.parametrize(
    ("images", "columns", "gap", "layout"),
    [
        (GRAY, None, 2, (3, 3)),
        (GRAY[..., 0], 1, 0, (7, 1)),
        (COLOUR, 4, 1, (2, 4)),
        (COLOUR, 10, 3, (1, 10)),
    ],
    ids=["gray", "no channel", "RGB", "one row"],
)
def test_grid_places_every_pixel(images, columns, gap, layout):
    grid = helpers.image_grid(images, columns, gap)
    rows, per_row = layout
    size = (rows * 5 + (rows + 1) * gap, per_row * 6 + (per_row + 1) * gap)
    assert grid.dtype == np.uint8
    assert grid.shape == (size if images is not COLOUR else (*size, 3))
    rest = grid.copy()
    for number in range(7):
        row, column = divmod(number, per_row)
        top, left = gap + row * (5 + gap), gap + column * (6 + gap)
        cell = (slice(top, top + 5), slice(left, left + 6))
        np.testing.assert_array_equal(grid[cell], np.squeeze(images[number]))
        rest[cell] = 255
    assert (rest == 255).all()


def test_bytes_come_back_from_floats_and_other_floats_are_refused():
    values = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(helpers.to_uint8(helpers.normalise(values)), values)
    grid = helpers.image_grid(helpers.normalise(COLOUR))
    np.testing.assert_array_equal(grid, helpers.image_grid(COLOUR))
    for wrong, said in ((COLOUR / 1.0, "from 0 to 199"), ([[[np.nan]]], "from nan to nan")):
        with pytest.raises(ValueError, match=f"^Images have values {said}; needed is float in"):
            helpers.image_grid(wrong)


@pytest.mark.parametrize("shape", [(8, 8), (2, 8, 8, 2), (0, 8, 8)])
def test_shapes_that_make_no_grid_are_refused(shape):
    with pytest.raises(ValueError, match=r"needed is \(N, H, W\), \(N, H, W, 1\) or"):
        helpers.image_grid(np.zeros(shape, np.uint8))


def test_grid_scales_by_whole_pixels():
    small, large = helpers.image_grid(COLOUR), helpers.image_grid(COLOUR, scale=3)
    assert large.shape == (small.shape[0] * 3, small.shape[1] * 3, 3)
    for y in range(3):
        for x in range(3):
            np.testing.assert_array_equal(large[y::3, x::3], small)


def read_gif(content):
    """Frames as RGB arrays, their durations in milliseconds, and the loop count."""
    with Image.open(io.BytesIO(content)) as gif:
        frames, durations = [], []
        for number in range(gif.n_frames):
            gif.seek(number)
            durations.append(gif.info["duration"])
            frames.append(np.asarray(gif.convert("RGB")))
        return frames, durations, gif.info.get("loop")


@pytest.mark.parametrize("channels", [0, 3], ids=["gray", "RGB"])
def test_gif_holds_frames_durations_and_loops(channels):
    shape = (9, 11, channels) if channels else (9, 11)
    frames = [np.full(shape, level, np.uint8) for level in (0, 50, 100, 150, 200)]
    for number, frame in enumerate(frames):
        frame[number, 2] = 255
    content = helpers.encode_gif(frames, frame_ms=120, last_ms=1500)
    assert isinstance(content, bytes)
    back, durations, loop = read_gif(content)
    assert durations == [120] * 4 + [1500]
    assert loop == 0
    for frame, shown in zip(frames, back, strict=True):
        expected = frame if channels else frame[..., None].repeat(3, axis=-1)
        np.testing.assert_array_equal(shown, expected)
    assert len(iio.imread(content, extension=".gif")) == 5


def test_gif_keeps_gray_values_exactly():
    """All 256 levels in one frame: a palette of fewer would show."""
    first = np.arange(256, dtype=np.uint8).reshape(16, 16)
    back, _, _ = read_gif(helpers.encode_gif([first, first[::-1]]))
    np.testing.assert_array_equal(back[0][..., 0], first)
    np.testing.assert_array_equal(back[1][..., 0], first[::-1])


@pytest.mark.parametrize(
    "frames",
    [[], [GRAY[0, ..., 0], GRAY[1]], [COLOUR[0] / 255], [COLOUR[0], COLOUR[0, :4]]],
    ids=["none", "of one channel", "floats", "of two sizes"],
)
def test_frames_that_make_no_gif_are_refused(frames):
    with pytest.raises(ValueError, match=r"^A GIF needs uint8 frames of one shape"):
        helpers.encode_gif(frames)


@pytest.mark.parametrize(
    "levels",
    [(0, 0, 0, 90, 200, 200), (0, 90, 90), (5, 5, 5), (5,)],
    ids=["at both ends", "last two", "all equal", "one frame"],
)
def test_gif_of_identical_neighbours_keeps_its_time(levels):
    frames = [np.full((8, 8), level, np.uint8) for level in levels]
    with Image.open(io.BytesIO(helpers.encode_gif(frames, 100, 1000))) as gif:
        durations, seen = [], []
        for number in range(gif.n_frames):
            gif.seek(number)
            durations.append(gif.info["duration"])
            seen.append(gif.convert("L").getpixel((0, 0)))
    assert sum(durations) == 100 * (len(levels) - 1) + 1000
    assert seen == sorted(set(levels)) and durations[-1] >= 1000


def test_save_and_show_gif(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DCGAN_RUNS", str(tmp_path))
    frames = [np.full((8, 8), level, np.uint8) for level in (0, 90)]
    path = tmp_path / "own" / "training.gif"
    helpers.save_gif(path, frames, 100, 1000)
    assert capsys.readouterr().out.startswith("Saved runs/own/training.gif: 2 frames")
    assert path.read_bytes() == helpers.encode_gif(frames, 100, 1000)
    assert [file.name for file in path.parent.iterdir()] == ["training.gif"]
    for gif in (path, str(path), path.read_bytes()):
        shown = helpers.show_gif(gif)
        assert shown.data == path.read_bytes() and shown.format == "png"  # nbconvert drops GIFs


def test_a_caption_stands_below_the_picture():
    for images in (GRAY, COLOUR):
        grid = helpers.image_grid(images, scale=3)
        captioned = helpers.caption(grid, "step 10")
        np.testing.assert_array_equal(captioned[: len(grid)], grid)
        below = captioned[len(grid) :]
        assert below.shape == (22, *grid.shape[1:]) and 0 < (below < 100).mean() < 0.3


def test_png_round_trip(tmp_path):
    grid = helpers.image_grid(COLOUR)
    helpers.save_png(tmp_path / "grid.png", grid)
    np.testing.assert_array_equal(iio.imread(tmp_path / "grid.png"), grid)
    np.testing.assert_array_equal(iio.imread(plots.png(grid).data), grid)


def test_show_images_draws_the_grid(figure):
    bright = GRAY // 4 + 150
    helpers.show_images(bright, columns=4, title="Seven")
    (axes,) = figure().axes
    (picture,) = axes.images
    np.testing.assert_array_equal(picture.get_array(), helpers.image_grid(bright, 4))
    # Fixed limits: a bright image is drawn bright, not stretched to black.
    assert picture.get_clim() == (0, 255)
    assert figure().get_suptitle() == "Seven"


@pytest.mark.parametrize("images", [GRAY, helpers.normalise(COLOUR)], ids=["bytes", "floats"])
def test_show_images_with_titles(images, figure):
    titles = [f"number {number}" for number in range(7)]
    helpers.show_images(images, titles=titles, columns=3)
    cells = [axes for axes in figure().axes if axes.images]
    assert [axes.get_title() for axes in cells] == titles
    for axes, image in zip(cells, images, strict=True):
        expected = helpers.image_grid(np.asarray(image)[None], gap=0)
        np.testing.assert_array_equal(axes.images[0].get_array(), expected)
        assert axes.images[0].get_clim() == (0, 255)


LOSSES = ("discriminator_loss", "generator_loss", "real_accuracy", "generated_accuracy")


def test_plot_history_draws_every_column_with_its_equilibrium(figure):
    history = {"epoch": np.arange(1, 5), **{name: RANDOM.random(4) for name in LOSSES}}
    plots.plot_history(history, title="Training")
    assert len(figure().axes) == 2 and figure().get_suptitle() == "Training"
    drawn = {}
    for axes in figure().axes:
        levels = [float(line.get_ydata()[0]) for line in axes.lines if line.get_linestyle() == ":"]
        curves = [line for line in axes.lines if line.get_linestyle() != ":"]
        drawn |= {line.get_label(): (line, levels) for line in curves}
    for name in LOSSES:
        line, levels = drawn[name.replace("_", " ")]
        np.testing.assert_array_equal(line.get_xdata(), history["epoch"])
        np.testing.assert_array_equal(line.get_ydata(), history[name])
        equilibrium = [2 * math.log(2), math.log(2)] if "loss" in name else [0.5]
        assert levels == pytest.approx(equilibrium)


def test_a_loss_below_zero_stays_inside_the_plot(figure):
    """As Wasserstein's."""
    losses = {"discriminator_loss": [-3.0, -80.0], "generator_loss": [2.0, 5.0]}
    accuracies = {name: [0.5, 0.5] for name in plots.ACCURACIES}
    plots.plot_history({"epoch": [1, 2], **losses, **accuracies})
    bottom, top = figure().axes[0].get_ylim()
    assert bottom <= -80 and top >= 5


FLOOR = {"value": 2.5, "generated": 1500}
DISTANCES = [None, None, 40.0, None, None, 8.0, None, None, 9.0]
ROWS = [
    {"epoch": epoch, **dict.fromkeys(LOSSES, 0.5), "distance": distance}
    for epoch, distance in enumerate(DISTANCES, start=1)
]


def test_plot_history_draws_the_distance_with_its_circumstances(figure):
    history = {name: [row[name] for row in ROWS] for name in ROWS[0]}
    history["distance"] = np.array(history["distance"], float)
    plots.plot_history(history, FLOOR, note="a classifier, seed 4")
    (axes,) = [each for each in figure().axes if each.get_title()]
    assert axes.get_title() == "distance to real pictures (lesson 5)"
    lines = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert lines["1,500 generated pictures"] == [[3, 40], [6, 8], [9, 9]]
    assert lines["the best"] == [[6, 8]]
    assert {y for _, y in lines["real pictures"]} == {2.5}
    assert figure().get_supxlabel() == "a classifier, seed 4"


def test_the_live_picture_keeps_its_size_and_gets_a_third_curve():
    """Before the first epoch, before the first distance, and after it."""
    grid = np.full((300, 200), 128, np.uint8)
    drawn = [
        plots.live_picture(grid, rows, 9, floor)
        for rows, floor in (([], None), ([], FLOOR), (ROWS[:2], FLOOR), (ROWS, FLOOR))
    ]
    green = [int(each, 16) for each in (plots.GREEN[1:3], plots.GREEN[3:5], plots.GREEN[5:])]
    counts = []
    for picture in drawn:
        assert picture.shape == (480, 620, 3) and picture.dtype == np.uint8
        assert (picture[300:, :200] == 255).all() and (picture[:, -1] == 255).mean() > 0.9
        counts.append(int((picture[300:] == green).all(axis=-1).sum()))
    assert counts[0] and counts[1] == counts[2]  # the legend alone
    assert counts[3] > counts[2] + 100
