"""Grids, figures and GIFs, of arrays and numbers."""

import math
import textwrap
from pathlib import Path

import imageio.v3 as iio
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Image
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from helpers.files import atomic_write
from helpers.machine import ASSETS, short

# Okabe and Ito's palette, told apart with every common kind of colour blindness.
BLUE, ORANGE, GREEN, PURPLE, BLACK = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000"
ACCURACIES = ("real_accuracy", "generated_accuracy")


def use_course_style() -> None:
    """Figures on white, whatever the theme around them, with one palette and readable labels."""
    plt.rcParams.update({
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
        "figure.dpi": 80,
        "figure.constrained_layout.use": True,
        "axes.prop_cycle": plt.cycler(color=[BLUE, ORANGE, GREEN, PURPLE, BLACK]),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 12,
        "font.size": 12,
        "image.cmap": "gray",
        "lines.linewidth": 2,
    })  # fmt: skip


def to_uint8(images) -> np.ndarray:
    """Images to be seen or saved: float [-1, 1] to uint8 [0, 255], rounded.

    Raises:
        ValueError: a value lies outside [-1, 1] or is not finite.
    """
    images = np.asarray(images, np.float32)
    if not np.isfinite(images).all() or images.min() < -1.001 or images.max() > 1.001:
        raise ValueError(
            f"Images have values from {images.min():g} to {images.max():g}; needed is float in "
            "[-1, 1]. Normalise uint8 images with x / 127.5 - 1."
        )
    return np.uint8(np.clip(np.round((images + 1) * 127.5), 0, 255))


def image_grid(images, columns: int | None = None, gap: int = 2, scale: int = 1) -> np.ndarray:
    """Lay images side by side on white.

    Args:
        images: uint8, or float in [-1, 1]; shape (N, H, W), (N, H, W, 1) or (N, H, W, 3).
        columns: images a row; by default as square as it goes.
        gap: white pixels between images and around them.
        scale: how many pixels a pixel becomes, each way.

    Returns:
        uint8 (height, width) for gray, (height, width, 3) for colour.

    Raises:
        ValueError: another shape, no image, or floats outside [-1, 1].
    """
    images = np.asarray(images)
    if images.ndim == 4 and images.shape[-1] == 1:
        images = images[..., 0]
    if not len(images) or not (images.ndim == 3 or (images.ndim == 4 and images.shape[-1] == 3)):
        raise ValueError(
            f"Images have shape {images.shape}; needed is (N, H, W), (N, H, W, 1) or (N, H, W, 3), "
            "N at least 1."
        )
    if images.dtype != np.uint8:
        images = to_uint8(images)
    count, height, width = images.shape[:3]
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    step_y, step_x = height + gap, width + gap
    grid = np.full((rows * step_y + gap, columns * step_x + gap, *images.shape[3:]), 255, np.uint8)
    for index, image in enumerate(images):
        y, x = gap + index // columns * step_y, gap + index % columns * step_x
        grid[y : y + height, x : x + width] = image
    return grid.repeat(scale, axis=0).repeat(scale, axis=1)


def caption(grid, text: str) -> np.ndarray:
    """A picture with a line of text on white below it.

    Args:
        grid: uint8 (H, W) or (H, W, 3).

    Returns:
        uint8 (H + 22, W) or (H + 22, W, 3).
    """
    below = ((0, 22), *[(0, 0)] * (grid.ndim - 1))
    picture = Pillow.fromarray(np.pad(grid, below, constant_values=255))
    place, font = (grid.shape[1] / 2, grid.shape[0] + 10), ImageFont.load_default(size=14)
    ImageDraw.Draw(picture).text(place, text, "black", font, anchor="mm")
    return np.asarray(picture)


def show_images(images, titles=None, columns=None, title=None) -> None:
    """Draw images as one figure, 9 inches wide, with a title above each where `titles` are given.

    Args:
        images: as for `image_grid`.
        titles: one text per image, or None.
        columns: images a row.
        title: of the whole figure.
    """
    width = 9.0
    if titles is None:
        grid = image_grid(images, columns)
        height = width * grid.shape[0] / grid.shape[1] + (0.4 if title else 0)
        figure, axes = plt.subplots(figsize=(width, height))
        axes.imshow(grid, cmap="gray", vmin=0, vmax=255)
        axes.axis("off")
    else:
        columns = columns or math.ceil(math.sqrt(len(images)))
        rows = math.ceil(len(images) / columns)
        figure, axes = plt.subplots(
            rows, columns, figsize=(width, width / columns * 1.2 * rows), squeeze=False
        )
        for cell in axes.flat:
            cell.axis("off")
        for cell, image, text in zip(axes.flat, images, titles):
            cell.imshow(image_grid(image[None], gap=0), cmap="gray", vmin=0, vmax=255)
            cell.set_title(text, fontsize=11)
    if title:
        figure.suptitle(title)
    plt.show()


def plot_history(history, floor=None, note="", title="", behind=None) -> None:
    """Both losses, and both accuracies, over the epochs, with their equilibrium as dotted lines.

    Args:
        history: columns by name, float (epochs,), as `helpers.load_table` reads a `history.csv`.
        floor: where distances to real pictures were measured, the distance of real pictures as
            {"value": …, "generated": number of images}; both are drawn below.
        note: a line below the distances, such as what they were measured in.
        behind: another history, whose losses and accuracies are drawn in gray, as far as this one
            goes.
    """
    figure = plt.figure(figsize=(9, 6.4 if floor else 3.6), layout="constrained")
    figure.get_layout_engine().set(wspace=0.08)
    if floor:
        *axes, below = figure.subplot_mosaic("ab;cc").values()
        _draw_distance(below, history["epoch"], history["distance"], floor)
        below.set_xlabel("epoch")
        figure.supxlabel(textwrap.fill(note, 110), fontsize=9)
    else:
        axes = figure.subplots(1, 2)
    legend = {"fontsize": 10}
    if behind is not None:
        _draw_behind(axes, behind[behind["epoch"] <= history["epoch"].max()])
        # Four lines leave no room for their names between them.
        legend = {"fontsize": 9, "loc": "lower center", "bbox_to_anchor": (0.5, 1), "ncols": 2}
    _draw_history(axes, history, **legend)
    if title:
        figure.suptitle(title)
    plt.show()


def _draw_distance(axes, epochs, distances, floor) -> None:
    """The distances that are numbers, over the epochs, and their floor if there is one."""
    measured = np.isfinite(distances)
    epochs, distances = np.asarray(epochs)[measured], np.asarray(distances)[measured]
    best = distances.argsort(kind="stable")[:1]  # of none, none
    number = f"{floor['generated']:,} " if floor else ""
    axes.plot(epochs, distances, marker=".", color=GREEN, label=f"{number}generated pictures")
    ring = {"marker": "o", "markersize": 9, "fillstyle": "none", "linestyle": "", "clip_on": False}
    axes.plot(epochs[best], distances[best], color=BLACK, **ring, label="the best")
    if floor:
        axes.axhline(
            floor["value"], color=BLACK, linestyle=":", linewidth=1.5, label="real pictures"
        )
    axes.set(title="distance to real pictures (lesson 5)", yscale="log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")
    axes.legend(frameon=False, fontsize=10)


def _draw_history(axes, history, **legend) -> None:
    losses, accuracies = axes
    epochs = history["epoch"]
    marker = "." if len(epochs) < 3 else ""  # a line needs two points
    for name, colour, level in (
        ("discriminator_loss", BLUE, 2 * math.log(2)),
        ("generator_loss", ORANGE, math.log(2)),
    ):
        label = name.replace("_", " ")
        losses.plot(epochs, history[name], marker=marker, color=colour, label=label)
        losses.axhline(level, color=colour, linestyle=":", linewidth=1.5)
    for name, colour, style in zip(ACCURACIES, (BLUE, ORANGE), ("-", "--")):
        label = name.replace("_", " ")
        accuracies.plot(epochs, history[name], style, marker=marker, color=colour, label=label)
    accuracies.axhline(0.5, color=BLACK, linestyle=":", linewidth=1.5)
    losses.set(xlabel="epoch", ylabel="loss")
    losses.set_ylim(bottom=min([0, *history["discriminator_loss"], *history["generator_loss"]]))
    accuracies.set(xlabel="epoch", ylabel="discriminator accuracy", ylim=(0, 1.02))
    for each in axes:
        each.xaxis.set_major_locator(MaxNLocator(integer=True))
        each.legend(frameon=False, **legend)


def _draw_behind(axes, history) -> None:
    for cell, names in zip(axes, (("discriminator_loss", "generator_loss"), ACCURACIES)):
        for name, style in zip(names, ("-", "--")):
            label = f"shipped run, {name.split('_')[0]}"
            cell.plot(history["epoch"], history[name], style, color="0.75", label=label)


def live_picture(grid, history, epochs: int, floor) -> np.ndarray:
    """What a training shows while it runs: its previews, and beside them its curves so far.

    Args:
        grid: the previews, uint8 (height, width) or (height, width, 3).
        history: rows of `history.csv` as dictionaries; none before the first epoch.
        epochs: of the whole training; the curves' axes are that long from the start.
        floor: as for `plot_history`.

    Returns:
        uint8 (height, at least 480, width + 420, 3), of one size throughout a training.
    """
    height, dpi = max(grid.shape[0], 480), plt.rcParams["figure.dpi"]
    figure = Figure(figsize=(420 / dpi, height / dpi), dpi=dpi, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(3, 1, sharex=True)
    names = ("epoch", "discriminator_loss", "generator_loss", *ACCURACIES)
    columns = {name: [row[name] for row in history] for name in names}
    distances = np.array([row.get("distance") for row in history], float)  # of None, nan
    _draw_history(axes[:2], columns, fontsize=10)
    _draw_distance(axes[2], columns["epoch"], distances, floor)
    axes[0].set(xlim=(0, epochs), xlabel="", ylabel="loss")
    axes[1].set(xlabel="", ylabel="accuracy")
    axes[2].set(xlabel="epoch")
    figure.suptitle(f"epoch {len(history)} of {epochs}", fontsize=12)
    canvas.draw()
    picture = np.full((height, grid.shape[1] + 420, 3), 255, np.uint8)
    picture[: grid.shape[0], : grid.shape[1]] = grid[..., None] if grid.ndim == 2 else grid
    picture[:, grid.shape[1] :] = np.asarray(canvas.buffer_rgba())[..., :3]
    return picture


def png(pixels) -> Image:
    """A uint8 picture (H, W) or (H, W, 3) for `display`, without a figure around it."""
    return Image(data=iio.imwrite("<bytes>", pixels, extension=".png"), format="png")


def save_png(path, pixels) -> None:
    """Write a uint8 picture (H, W) or (H, W, 3) to a file, atomically."""
    with atomic_write(path) as partial:
        iio.imwrite(partial, pixels)


def encode_gif(frames, frame_ms: int = 150, last_ms: int = 2000) -> bytes:
    """A looping GIF that holds its last frame.

    Args:
        frames: uint8 pictures (H, W) or (H, W, 3), all of one shape.
        frame_ms: milliseconds a frame is shown.
        last_ms: milliseconds the last frame is shown.

    Raises:
        ValueError: no frames, or frames of another kind or of differing shapes.
    """
    frames = [np.asarray(frame) for frame in frames]
    kinds = {(frame.shape, str(frame.dtype)) for frame in frames}
    gray_or_colour = all(len(shape) == 2 or shape[2:] == (3,) for shape, _ in kinds)
    if len(kinds) != 1 or frames[0].dtype != np.uint8 or not gray_or_colour:
        raise ValueError(
            f"A GIF needs uint8 frames of one shape (H, W) or (H, W, 3); got {sorted(kinds)}."
        )
    durations = [frame_ms] * (len(frames) - 1) + [last_ms]
    if all(np.array_equal(frame, frames[0]) for frame in frames):
        # Pillow merges equal frames, and takes no list of durations for a single one.
        frames, durations = frames[:1], sum(durations)
    return iio.imwrite("<bytes>", frames, extension=".gif", duration=durations, loop=0)


def save_gif(path, frames, frame_ms: int = 150, last_ms: int = 2000) -> None:
    """Write `encode_gif` of the frames to a file, atomically."""
    content = encode_gif(frames, frame_ms, last_ms)
    with atomic_write(path) as partial:
        partial.write_bytes(content)
    print(f"Saved {short(path)}: {len(frames)} frames, {len(content) / 1e6:.2f} MB.")


def show_gif(gif, width: int | None = None) -> Image:
    """A GIF, as bytes or from a path, for display in a cell, `width` screen pixels wide.

    It goes out as image/png, for nbconvert drops image/gif; browsers look at the bytes and play it.
    """
    data = gif if isinstance(gif, bytes) else Path(gif).read_bytes()
    return Image(data=data, format="png", width=width)


def show_diagram(name: str) -> Image:
    """One of the course's diagrams, for display in a cell: game, pipeline, networks or step."""
    return Image(filename=str(ASSETS / "diagrams" / f"{name}.png"), width=720)
