"""Pictures of any source, one after the other, into the files of a data set."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import pandas as pd
from tqdm import tqdm

from helpers.data.images import UnreadablePicture, conform
from helpers.data.sources import Stream

SPLITS = ("train", "held_out")
BLOCK = 256  # pictures decoded at a time
HELD_OUT = 10  # one picture in so many, where nobody has divided the set
LEAST = 6  # pictures to train on, and to score with
SMALL_SET = 200  # pictures, of which LEAST are held out whatever their hashes say
COLOUR = "in colour"


def write_arrays(run, source, splits, image_shape, folder) -> dict:
    """Read, crop and resize every wanted picture into one `.npy` file for each split.

    Where the run wants it, each training image is followed by its mirror image.

    Pixels are written as they come, so that a set may be larger than memory, and the header of the
    file, which holds their number, once more at the end.

    Returns:
        What the card says of the pictures.
    """
    labels = {split: [] for split in SPLITS}
    skipped, hashes, one_colour, in_colour, brightest = [], [], 0, 0, 0
    train, held_out = run.profile.train_images, run.profile.held_out_images
    wanted = {"train": train, "held_out": held_out}
    wanted["all"] = train and round(train / (1 - 1 / HELD_OUT))
    chosen = {split: _choose(pictures, wanted[split]) for split, pictures in splits.items()}
    total = sum(map(len, chosen.values()))
    with ExitStack() as stack:
        files = {}
        for split in SPLITS:
            files[split] = stack.enter_context(open(folder / f"{split}_images.npy", "wb"))
            _write_header(files[split], (0, *image_shape))
        pictures = _each(splits, chosen, image_shape)
        few = None
        if total <= SMALL_SET:  # one in ten of these may be too few to score with
            pictures = list(pictures)
            numbers = {_number(image) for _, _, image, _, _ in pictures if image is not None}
            few = sorted(numbers)[: min(max(LEAST, len(numbers) // HELD_OUT), len(numbers) // 2)]
        for given, name, image, label, about in tqdm(
            pictures, total=total, delay=2, mininterval=1, unit=" pictures"
        ):
            if image is None:
                skipped.append(f"{name} ({about})")
                continue
            pixels, number = image.tobytes(), _number(image)
            held_out = number % HELD_OUT == 0 if few is None else number in few
            split = given if given != "all" else SPLITS[held_out]
            in_colour += about == COLOUR
            brightest = max(brightest, int(image.max()))
            files[split].write(pixels)
            labels[split].append(label)
            if run.mirror and split == "train":
                files[split].write(image[:, ::-1].tobytes())
                labels[split].append(label)
            hashes.append(number)
            one_colour += int((image == image[:1, :1]).all())
        for split in SPLITS:
            files[split].seek(0)
            _write_header(files[split], (len(labels[split]), *image_shape))
            np.save(folder / f"{split}_labels.npy", np.array(labels[split], np.int64))
    identity = np.array([*hashes, 1] if run.mirror else hashes, np.uint64)
    return {
        "image_shape": list(image_shape),
        "mirrored": run.mirror,
        "train_images": len(labels["train"]),
        "held_out_images": len(labels["held_out"]),
        "class_counts": {
            split: np.bincount(labels[split], minlength=len(source.class_names)).tolist()
            for split in SPLITS
        },
        "skipped": len(skipped),
        "skipped_first": skipped[:5],
        "duplicates": len(hashes) - len(set(hashes)),
        "one_colour": one_colour,
        "in_colour": in_colour,  # and made gray
        "brightest": brightest,
        "images": hashlib.blake2b(identity, digest_size=16).hexdigest(),
    }


def _write_header(file, shape) -> None:
    """That of a `.npy` file of uint8; its length does not depend on the first number of `shape`."""
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _choose(pictures, count) -> np.ndarray:
    """Indices of the pictures of a split to read: of all, or of `count` of them.

    Equally many of each class where labels are known beforehand, the first of each; else a random
    choice, always the same.
    """
    total = pictures.count if isinstance(pictures, Stream) else len(pictures.names)
    labels = None if isinstance(pictures, Stream) else pictures.labels
    if labels is None:
        order = np.random.default_rng(0).permutation(total)
    else:
        rank = pd.Series(labels).groupby(labels).cumcount()  # a picture's number in its class
        order = np.argsort(rank.to_numpy(), kind="stable")
    return np.sort(order[:count])


def _each(splits, chosen, image_shape):
    """Split, name, prepared image, label and "" of each picture.

    The last is COLOUR where the image has been made gray; and where there is no image, but None,
    the reason.
    """
    size, _, channels = image_shape

    def prepared(picture):
        coloured = channels == 1 and (picture != picture[..., :1]).any()
        return conform(picture, size, channels), COLOUR if coloured else ""

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoding leaves Python's lock
        for split, pictures in splits.items():
            if isinstance(pictures, Stream):
                wanted = set(chosen[split].tolist())
                for number, (image, label) in enumerate(pictures.items()):
                    if number in wanted:
                        image, about = prepared(image)
                        yield split, f"image {number}", image, label, about
                continue

            def read(index, pictures=pictures):
                try:
                    return prepared(pictures.read(index))
                except UnreadablePicture as reason:
                    return None, str(reason)

            for start in range(0, len(chosen[split]), BLOCK):
                block = chosen[split][start : start + BLOCK].tolist()
                for index, (image, about) in zip(block, pool.map(read, block)):
                    label = 0 if pictures.labels is None else int(pictures.labels[index])
                    yield split, pictures.names[index], image, label, about


def _number(image) -> int:
    """A hash of the pixels, the same for equal images; 0 to 2**64 - 1."""
    return int.from_bytes(hashlib.blake2b(image.tobytes(), digest_size=8).digest(), "big")
