"""Regenerate assets/datasets/emoji.npz: Noto Emoji in colour, 64 pixels wide, laid on white.

    python -m assets.make.emoji /path/to/noto_emoji_64.zip

The zip holds one PNG per emoji, named by its code points, such as 1f44d-1f3fb.png. About half of
them are other drawings in another skin tone. So whole drawings are held out, with all their
variants: else a held-out thumb would have five near copies among the training images.
"""

import argparse
import io
import re
import zipfile
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from helpers import ASSETS, short
from helpers.files import atomic_write

SIZE = 64
HELD_OUT = 0.1  # share of the drawings
# Skin tones, the request for a coloured picture, and "facing right", which is a mirror image.
VARIANT = re.compile(r"-(?:1f3f[b-f]|fe0f|200d-27a1)(?=-|$)")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("zip", help="the PNG files, in one zip archive")
    arrays = split_drawings(*read_pictures(parser.parse_args().zip))
    path = ASSETS / "datasets" / "emoji.npz"
    with atomic_write(path) as partial:
        np.savez_compressed(partial, **arrays)
    counts = " and ".join(f"{len(arrays[f'{s}_images']):,} {s}" for s in ("train", "test"))
    print(f"{short(path)}: {counts} images, {path.stat().st_size / 1e6:.1f} MB")


def read_pictures(path) -> tuple[np.ndarray, list[str]]:
    """All PNGs of a zip, uint8 (N, 64, 64, 3), and the name of each one's drawing."""
    pictures, drawings = [], []
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(".png"):
                pictures.append(on_white(Image.open(io.BytesIO(archive.read(name)))))
                drawings.append(drawing_of(PurePosixPath(name).stem))
    return np.stack(pictures), drawings


def on_white(image) -> np.ndarray:
    """A Pillow image of any mode, its transparency laid on white; uint8 (64, 64, 3)."""
    if image.size != (SIZE, SIZE):
        raise ValueError(f"A picture is {image.size}; all must be {SIZE} pixels wide and high.")
    white = Image.new("RGBA", image.size, "white")
    return np.asarray(Image.alpha_composite(white, image.convert("RGBA")).convert("RGB"))


def drawing_of(code_points: str) -> str:
    """The drawing an emoji varies: "1f44d-1f3fb", a thumb in a light tone, is "1f44d"."""
    return VARIANT.sub("", code_points)


def split_drawings(pictures, drawings, seed=0) -> dict[str, np.ndarray]:
    """Training and test arrays that share no drawing and no picture; each picture once."""
    contents = [picture.tobytes() for picture in pictures]
    leader = {drawing: drawing for drawing in drawings}  # of drawings that share a picture

    def lead(drawing):
        return drawing if leader[drawing] == drawing else lead(leader[drawing])

    first = {}  # where each content appears first
    for index, content in enumerate(contents):
        twin = drawings[first.setdefault(content, index)]
        leader[lead(drawings[index])] = lead(twin)
    generator = np.random.default_rng(seed)
    groups = np.array([lead(drawing) for drawing in drawings])
    names = np.unique(groups)
    held_out = generator.choice(names, round(HELD_OUT * len(names)), replace=False)
    # Each drawing once, in random order, for a profile takes the first so many; then the other
    # variants, side by side, because the compression looks back only a few pictures.
    shuffled = generator.permutation(list(first.values()))
    rank = {name: place for place, name in enumerate(generator.permutation(names))}
    _, once = np.unique(groups[shuffled], return_index=True)
    others = np.delete(shuffled, once)
    others = others[np.argsort([rank[name] for name in groups[others]], kind="stable")]
    order = np.concatenate([shuffled[np.sort(once)], others])
    is_test = np.isin(groups[order], held_out)
    arrays = {}
    for split, chosen in (("train", order[~is_test]), ("test", order[is_test])):
        arrays[f"{split}_images"] = pictures[chosen]
        arrays[f"{split}_labels"] = np.zeros(len(chosen), np.uint8)  # there are no classes
    return arrays


if __name__ == "__main__":
    main()
