"""Draw the course's diagrams into assets/diagrams: game, pipeline, networks and step.

    python -m assets.make.diagrams

Lengths are in tenths of an inch; a diagram is 72 of them wide. TensorFlow is not needed.
"""

from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Polygon, Rectangle
from matplotlib.path import Path as Way
from PIL import Image

ASSETS = Path(__file__).resolve().parents[1]
WIDTH, DOTS_PER_INCH = 72, 200  # 1,440 pixels
BLUE, ORANGE, GREEN, BLACK = "#0072B2", "#D55E00", "#009E73", "#000000"  # as in helpers.plots
TINTS = {BLUE: "#E6F1F8", ORANGE: "#FCEDE3", GREEN: "#E3F4EE", BLACK: "#F4F4F4"}
REAL = [14, 47, 35, 22]  # a bag, trousers, a boot, a shirt
GENERATED = ((0, 4), (5, 1), (3, 0), (1, 1))  # row and column in the small GIF


def main():
    (ASSETS / "diagrams").mkdir(exist_ok=True)
    for draw in (game, pipeline, networks, step):
        axes = draw()
        axes.figure.canvas.draw()
        picture = Image.fromarray(np.asarray(axes.figure.canvas.buffer_rgba())).convert("RGB")
        path = ASSETS / "diagrams" / f"{draw.__name__}.png"
        picture.quantize(96, dither=Image.Dither.NONE).save(path, optimize=True)
        plt.close(axes.figure)
        print(f"{path.name}: {picture.width}x{picture.height}, {path.stat().st_size / 1000:.0f} KB")


def game():
    """What passes between the two networks, and the way of the two gradients."""
    axes = canvas(58)
    text(axes, 7.75, 56, "random numbers")
    cells(axes, 3.25, 45.2, 9, 9, random_cells(8, 8))
    arrow(axes, BLACK, (7.75, 44.9), (7.75, 40.5))
    network(axes, 0.5, 11.5, 14.5, 28.5, ORANGE, "Generator", "the forger")
    text(axes, 26, 56, "real images")
    pictures(axes, real_images(), 19.75, 41.9, 12.5)
    text(axes, 26, 37, "generated images")
    pictures(axes, generated_images(), 19.75, 22.9, 12.5)
    network(axes, 37, 11.5, 16, 45.5, BLUE, "Discriminator", "the detective")
    for start, end, y in ((15, 19.3, 29), (32.7, 36.5, 29), (32.7, 36.5, 48)):
        arrow(axes, BLACK, (start, y), (end, y))
    for y, words in ((48, "verdicts on\nreal images"), (29, "verdicts on\ngenerated ones")):
        arrow(axes, BLACK, (53, y), (57, y))
        box(axes, 57.5, y - 3.2, 14, 6.4, BLACK, words, size=11)
    for start, end in ((44.8, 42.2), (32.2, 34.8), (25.8, 20.2)):
        arrow(axes, BLACK, (64.5, start), (64.5, end))
    box(axes, 57.5, 35.3, 14, 6.4, BLUE, "loss of the\ndiscriminator", BLUE, size=11)
    arrow(axes, BLUE, (57.5, 38.5), (50.3, 38.5), width=4)
    box(axes, 40.5, 36.3, 9.3, 4.4, BLUE, "weights", BLUE)
    box(axes, 57.5, 13.3, 14, 6.4, ORANGE, "loss of the\ngenerator", ORANGE, size=11)
    arrow(axes, ORANGE, (57.5, 16.5), (13.1, 16.5), width=4)
    box(axes, 3.1, 14.3, 9.3, 4.4, ORANGE, "weights", ORANGE)
    legend(axes, 7, BLUE, "gradient of the discriminator’s loss: moves the discriminator only")
    words = "gradient of the generator’s loss: through the discriminator to the generator"
    legend(axes, 3.2, ORANGE, words)
    return axes


def pipeline():
    """From pictures in any form to batches; two sets of images part ways early."""
    axes = canvas(52)
    for row, words in enumerate(("a folder", "a zip file", "a table", "a set by name")):
        box(axes, 0.5, 41.8 - 5.2 * row, 13.8, 4.2, BLACK, words)
    arrow(axes, BLACK, (14.3, 36), (17.2, 36))
    text(axes, 27.5, 43.5, "square crop, resize")
    bag = real_images()[0]
    wide = np.pad(bag, ((0, 0), (12, 12)))
    axes.imshow(wide, "gray", extent=(17.5, 30.5, 32.5, 39.5), interpolation="bicubic")
    axes.add_patch(Rectangle((20.5, 32.5), 7, 7, fill=False, color=ORANGE, linewidth=3))
    arrow(axes, BLACK, (30.5, 36), (33.6, 36))
    pictures(axes, [bag], 33.8, 34, 4, columns=1)
    box(axes, 43, 26.5, 17.5, 25, BLACK, fill="white", style="--")
    text(axes, 51.75, 49.5, "runs/images")
    text(axes, 51.75, 45.8, "uint8 arrays\nand their card", size=11)
    arrow(axes, BLACK, (37.8, 36), (40.7, 36), head="-")
    for y, words, color in ((40, "held-out\nimages", GREEN), (32, "training\nimages", BLUE)):
        arrow(axes, color, (40.7, 36), (40.7, y), (44.6, y))
        box(axes, 44.75, y - 3, 14, 6, color, words)
    arrow(axes, GREEN, (58.75, 40), (62.3, 40))
    text(axes, 67, 40, "measuring\nonly")
    arrow(axes, BLUE, (51.75, 29), (51.75, 22), (7.5, 22), (7.5, 18.2))
    text(axes, 7.5, 16, "shuffled order")
    for start, end in enumerate((2, 0, 3, 1)):
        arrow(axes, BLACK, (2, 12.8 - 3.2 * start), (13, 12.8 - 3.2 * end), width=1.5)
    arrow(axes, BLUE, (14, 8), (18, 8))
    text(axes, 25, 16, "batch of 32")
    pictures(axes, real_images(slice(32)), 18.5, 4.8, 13, columns=8, gap=0.1)
    arrow(axes, BLUE, (32, 8), (36, 8))
    text(axes, 43.5, 16, "float32 in [−1, 1]")
    cells(axes, 36.5, 6.5, 14, 3, np.arange(256)[None])
    for x, words in ((37, "−1"), (43.5, "0"), (50, "1")):
        text(axes, x, 4.5, words, size=11)
    arrow(axes, BLUE, (51, 8), (55, 8))
    box(axes, 55.5, 4, 16, 8, BLUE, "training,\nin lesson 4")
    return axes


def networks():
    """Both networks at 28x28 pixels, each block in proportion to what stands between layers."""
    axes = canvas(57)
    text(axes, 0.5, 55, "Generator", ORANGE, ha="left", weight="bold")
    cells(axes, 3.6, 38.7, 1, 10.6, random_cells(20, 1))
    text(axes, 5.7, 51, "100 numbers", size=11)
    block(axes, 15, 44, 4, 256, ORANGE)
    block(axes, 30.5, 44, 7, 128, ORANGE)
    block(axes, 44.6, 44, 14, 64, ORANGE)
    block(axes, 61, 44, 28, 1, ORANGE, generated_images()[3])
    up = "transposed\nconvolution\nstride 2\n"
    operation(axes, 5.4, 14.4, 44, "Dense\nreshape\nbatch norm\nReLU")
    operation(axes, 21, 29.8, 44, up + "crop to 7×7\nbatch norm\nReLU")
    operation(axes, 35.5, 44.1, 44, up + "batch norm\nReLU")
    operation(axes, 51.4, 60.2, 44, up + "tanh")
    text(axes, 0.5, 24.5, "Discriminator", BLUE, ha="left", weight="bold")
    block(axes, 1, 13.5, 28, 1, BLUE, generated_images()[3])
    block(axes, 24, 13.5, 14, 64, BLUE)
    block(axes, 42.5, 13.5, 7, 128, BLUE)
    block(axes, 58, 13.5, 4, 256, BLUE)
    down = "convolution\nstride 2\n"
    operation(axes, 13, 22.5, 13.5, down + "LeakyReLU")
    operation(axes, 31.5, 41, 13.5, down + "batch norm\nLeakyReLU")
    operation(axes, 48, 57, 13.5, down + "batch norm\nLeakyReLU")
    operation(axes, 64, 68.5, 13.5, "flatten\nDense")
    axes.add_patch(Circle((70, 13.5), 0.9, color=BLUE))
    text(axes, 68.3, 17, "1 logit", size=11)
    words = "A larger block has larger feature maps; a deeper one has more of them."
    text(axes, 0.5, 1.8, words, size=11, ha="left")
    return axes


def step():
    """One training step: what is computed from what, and who moves whom."""
    axes = canvas(62)
    lines = (
        "Random numbers become images.",
        "Both batches are judged.",
        "Each network has a loss of its own.",
        "Each optimizer moves its own network.",
        "The average follows the generator.",
    )
    for row, words in enumerate(lines):
        number(axes, 30, 59.5 - 3 * row, row + 1)
        text(axes, 32, 59.5 - 3 * row, words, ha="left")
    box(axes, 10.5, 50, 14, 7.5, GREEN, "averaged\ngenerator")
    arrow(axes, GREEN, (17.5, 43), (17.5, 49.8), width=4)
    text(axes, 4, 41, "random\nnumbers", size=11)
    cells(axes, 0.5, 31.5, 7, 7, random_cells(8, 8))
    network(axes, 10.5, 28, 14, 15, ORANGE, "Generator")
    box(axes, 13, 29.7, 9, 4.2, ORANGE, "weights", ORANGE)
    text(axes, 32.5, 40.6, "generated", size=11)
    pictures(axes, generated_images(), 28.5, 31, 8)
    text(axes, 32.5, 26.6, "real", size=11)
    pictures(axes, real_images(), 28.5, 17, 8)
    network(axes, 40, 16, 15, 27, BLUE, "Discriminator")
    box(axes, 43, 17.7, 9, 4.2, BLUE, "weights", BLUE)
    box(axes, 58, 31.5, 12, 7, ORANGE, "loss of the\ngenerator", ORANGE, size=11)
    box(axes, 58, 17, 12, 10, BLUE, "loss of the\ndiscriminator", BLUE, size=11)
    for start, end, y in ((7.5, 10.2, 35), (24.5, 28.2, 35), (36.7, 39.7, 35), (55, 57.7, 35)):
        arrow(axes, BLACK, (start, y), (end, y))
    arrow(axes, BLACK, (36.7, 21), (39.7, 21))
    arrow(axes, BLACK, (55, 20.5), (57.7, 20.5))
    arrow(axes, BLACK, (56.2, 35), (56.2, 24.5), (57.7, 24.5))
    box(axes, 9.5, 5.5, 16, 6.5, ORANGE, "generator’s\noptimizer", size=11)
    box(axes, 39.5, 5.5, 16, 6.5, BLUE, "discriminator’s\noptimizer", size=11)
    arrow(axes, ORANGE, (70, 35), (71, 35), (71, 1.3), (17.5, 1.3), (17.5, 5.2), width=4)
    arrow(axes, BLUE, (64, 17), (64, 8.7), (56, 8.7), width=4)
    arrow(axes, ORANGE, (17.5, 12), (17.5, 29.4), width=4)
    arrow(axes, BLUE, (47.5, 12), (47.5, 17.4), width=4)
    text(axes, 44, 3.2, "gradients, computed through the discriminator", size=11)
    for x, y, words in ((22, 20, "moves"), (52, 14, "moves"), (22.5, 46.4, "follows")):
        text(axes, x, y, words, size=11)
    places = ((26.3, 38.5), (47.5, 35), (64, 29.3), (14.5, 20), (44.5, 14), (14.5, 46.4))
    for place, count in zip(places, (1, 2, 3, 4, 4, 5)):
        number(axes, *place, count)
    return axes


def real_images(chosen=REAL):
    with np.load(ASSETS / "datasets" / "fashion_mnist.npz") as file:
        return file["train_images"][chosen, ..., 0]


def generated_images():
    """Four squares of the last frame of the shipped GIF, uint8 (4, 28, 28)."""
    with Image.open(ASSETS / "trained" / "fashion_mnist-28" / "training_small.gif") as gif:
        gif.seek(gif.n_frames - 1)
        frame = np.asarray(gif.convert("L"))
    corners = [(2 + 30 * row, 2 + 30 * column) for row, column in GENERATED]
    return np.stack([frame[top : top + 28, left : left + 28] for top, left in corners])


def random_cells(rows, columns):
    return np.random.default_rng(0).uniform(0, 255, (rows, columns))


def canvas(height):
    """Axes over a whole white figure of this height."""
    figure = plt.figure(figsize=(WIDTH / 10, height / 10), dpi=DOTS_PER_INCH, facecolor="white")
    axes = figure.add_axes([0, 0, 1, 1], xlim=(0, WIDTH), ylim=(0, height))
    axes.axis("off")
    return axes


def text(axes, x, y, words, color=BLACK, size=12, **kwargs):
    kwargs = {"ha": "center", "va": "center", "linespacing": 1.15} | kwargs
    axes.text(x, y, words, color=color, size=size, zorder=4, **kwargs)


def box(axes, x, y, width, height, color, words="", fill=None, style="-", size=12):
    """A rounded box with its lower left corner at (x, y), and words in its middle."""
    look = {"facecolor": fill or TINTS[color], "edgecolor": color, "linestyle": style}
    corners = f"round,pad=0,rounding_size={min(1, height / 4)}"
    axes.add_patch(
        FancyBboxPatch((x, y), width, height, boxstyle=corners, linewidth=1.5, zorder=1, **look)
    )
    text(axes, x + width / 2, y + height / 2, words, "white" if fill == color else BLACK, size)


def network(axes, x, y, width, height, color, name, role=""):
    box(axes, x, y, width, height, color)
    text(axes, x + width / 2, y + height - 2.6, name, color, weight="bold")
    text(axes, x + width / 2, y + height - 5.2, role, size=11)


def arrow(axes, color, *corners, head="-|>", width=2):
    """A line through the corners, with a head at the last."""
    look = {"color": color, "linewidth": width, "joinstyle": "round", "mutation_scale": 15}
    axes.add_patch(FancyArrowPatch(path=Way(corners), arrowstyle=head, zorder=3, **look))


def legend(axes, y, color, words):
    """What a thick arrow of this colour means."""
    arrow(axes, color, (1, y), (5.5, y), width=4)
    text(axes, 6.5, y, words, ha="left")


def number(axes, x, y, count):
    """A number in a black disk."""
    axes.add_patch(Circle((x, y), 1.2, color=BLACK, zorder=4))
    text(axes, x, y - 0.05, count, "white", 11, weight="bold")


def pictures(axes, images, x, y, width, columns=2, gap=0.3):
    """Gray images (N, H, W) in rows of `columns`; the lowest row stands on y."""
    side = (width - gap * (columns - 1)) / columns
    rows = len(images) // columns
    for index, image in enumerate(images):
        left = x + index % columns * (side + gap)
        low = y + (rows - 1 - index // columns) * (side + gap)
        cells(axes, left, low, side, side, image)


def cells(axes, x, y, width, height, values):
    """Values from 0 to 255 (rows, columns) as gray cells that fill a rectangle."""
    extent = (x, x + width, y, y + height)
    axes.imshow(values, "gray", vmin=0, vmax=255, extent=extent, aspect="auto", zorder=2)


def block(axes, x, middle, side, maps, color, picture=None):
    """Feature maps (side, side, maps): the face as large as one of them, the depth their number."""
    face, dx, dy = 0.38 * side, maps / 64, maps / 80
    low, high, right = middle - face / 2, middle + face / 2, x + face
    top = [(x, high), (x + dx, high + dy), (right + dx, high + dy), (right, high)]
    flank = [(right, low), (right + dx, low + dy), (right + dx, high + dy), (right, high)]
    front = [(x, low), (right, low), (right, high), (x, high)]
    for corners, alpha in ((front, 0.25), (top, 0.5), (flank, 0.75)):
        axes.add_patch(Polygon(corners, facecolor=color, alpha=alpha))
        axes.add_patch(Polygon(corners, fill=False, edgecolor=color, joinstyle="round"))
    if picture is not None:
        pictures(axes, [picture], x, low, face, columns=1)
    text(axes, x + (face + dx) / 2, high + dy + 1.7, f"{side}×{side}×{maps}", size=11)


def operation(axes, start, end, middle, words):
    arrow(axes, BLACK, (start, middle), (end, middle))
    text(axes, (start + end) / 2, middle - 1.2, words, size=11, va="top")


if __name__ == "__main__":
    main()
