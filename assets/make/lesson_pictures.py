"""Pictures for the README, from the outputs of the committed notebooks: one per lesson, and a plot.

python -m assets.make.lesson_pictures
"""

import base64
from pathlib import Path

import imageio.v3 as iio
import nbformat
import numpy as np
from PIL import Image, ImageChops, ImageOps

from helpers.machine import ASSETS, ROOT
from helpers.plots import save_png

WIDTH, HEIGHT = 300, 200
PICTURES = {  # lesson: a line of the cell that shows it; the part to keep, in shares of the picture
    "01_introduction": ("healthy = train_and_film()", (0.14, 0.08, 0.79, 0.85)),
    "02_data_preparation": ("helpers.show_images(panels", (0.4, 0.5, 0.79, 1)),
    "03_architecture": ('panel.set(title=f"kernel {size}, stride 2"', (0, 0.09, 0.88, 1)),
    "04_training": ('axes.set(xlabel="training so far", yticks=[])', (0, 0, 1, 1)),
    "05_evaluation": ("rows.append((kind, generator(path", (0, 0, 1, 1)),
    "further/choose": ("hundred = draw(shipped_generator", (0.2, 0.1, 0.9, 0.5)),
    "further/play": ("rows = [*range(5), len(directions) - 1]", (0.17, 0, 1, 0.8)),
    "further/pytorch": ("largest difference of a logit", (0, 0, 1, 1)),
    "further/scale": ('cell.set_title(f"replica {number}")', (0.136, 0, 0.864, 1)),
}
PLOT = ("05_evaluation", "helpers.plot_trainings(")


def main():
    for lesson, (line, part) in PICTURES.items():
        path = ASSETS / "lessons" / f"{Path(lesson).name}.png"
        save_png(path, thumbnail(first_picture(lesson, line), part))
        print(f"{lesson}: {path.stat().st_size / 1000:.0f} KB")
    plot = first_picture(*PLOT)
    save_png(ASSETS / "results" / "recipes.png", plot)


def first_picture(lesson, line) -> np.ndarray:
    """The first picture of the cell with that line, the last frame of a GIF; uint8 (H, W, 3)."""
    notebook = nbformat.read(ROOT / "notebooks" / f"{lesson}.ipynb", as_version=4)
    (cell,) = [cell for cell in notebook.cells if line in cell.source]
    for output in cell.outputs:
        if "image/png" in output.get("data", {}):
            content = base64.b64decode(output.data["image/png"])
            frames = iio.imread(content, index=None, mode="RGB")
            return frames.reshape(-1, *frames.shape[-3:])[-1]
    raise ValueError(f"This cell shows no picture:\n{cell.source}")


def thumbnail(picture, part=(0, 0, 1, 1)) -> np.ndarray:
    """Fill WIDTH x HEIGHT with the middle of a part of a picture; uint8 (HEIGHT, WIDTH, 3).

    Args:
        picture: uint8 (H, W, 3); white margins of the part are cut away.
        part: left, top, right and bottom edge, in shares of width and height.
    """
    height, width = picture.shape[:2]
    edges = np.multiply(part, (width, height) * 2).astype(int).tolist()
    image = Image.fromarray(picture).crop(edges)
    image = image.crop(ImageChops.invert(image).getbbox())
    return np.asarray(ImageOps.fit(image, (WIDTH, HEIGHT), Image.Resampling.LANCZOS))


if __name__ == "__main__":
    main()
