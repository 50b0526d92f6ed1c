"""One small picture per lesson for the README, from the outputs of the committed notebooks.

python -m assets.make.lesson_pictures
"""

import base64

import imageio.v3 as iio
import nbformat
import numpy as np
from PIL import Image

from helpers.machine import ASSETS, ROOT
from helpers.plots import save_png

WIDTH, HEIGHT = 300, 200
PICTURES = {  # lesson: a line of the cell that shows it
    "01_introduction": "healthy = train_and_film()",
    "02_data_preparation": "helpers.show_images(panels",
    "03_architecture": 'cell.set(title=f"kernel {size}, stride 2"',
    "04_training": 'axes.set(xlabel="epoch", yticks=[])',
    "05_evaluation": "helpers.show_images(walks",
}


def main():
    for lesson, line in PICTURES.items():
        notebook = nbformat.read(ROOT / "notebooks" / f"{lesson}.ipynb", as_version=4)
        (cell,) = [cell for cell in notebook.cells if line in cell.source]
        path = ASSETS / "lessons" / f"{lesson}.png"
        save_png(path, thumbnail(first_picture(cell)))
        print(f"{lesson}: {path.stat().st_size / 1000:.0f} KB")


def first_picture(cell) -> np.ndarray:
    """The first picture a cell shows, the last frame of an animation; uint8 (H, W, 3)."""
    for output in cell.outputs:
        for mime in ("image/png", "image/gif"):
            if mime in output.get("data", {}):
                frames = iio.imread(base64.b64decode(output.data[mime]), index=None, mode="RGB")
                return frames.reshape(-1, *frames.shape[-3:])[-1]
    raise ValueError(f"This cell shows no picture:\n{cell.source}")


def thumbnail(picture) -> np.ndarray:
    """Fit a picture into WIDTH x HEIGHT on white; uint8 (HEIGHT, WIDTH, 3)."""
    image = Image.fromarray(picture)
    image.thumbnail((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    whole = Image.new("RGB", (WIDTH, HEIGHT), "white")
    whole.paste(image, ((WIDTH - image.width) // 2, (HEIGHT - image.height) // 2))
    return np.asarray(whole)


if __name__ == "__main__":
    main()
