"""Which metric notices which defect of generated images, at what size?

    TFDS_DATA_DIR=/path/to/tensorflow_datasets python -m tests.benchmarks.planted_defects

Writes assets/results/planted_defects.csv, defect by defect, and resumes after a stop; delete the
file to start anew. Draw by draw, n real and n other real images are taken from the 10,000 test
images of Fashion-MNIST, which neither the training images nor the classifier hold. The others pass
for generated ones: as they are, or with a defect. From 400 draws without a defect come the limits
of each metric, from 400 further ones its false alarms, and from draws with a defect its power.
"""

import argparse
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pandas as pd

from helpers import ASSETS, SOURCES, feature_space, load_model, load_source, normalise, sha256
from helpers.evaluation import metrics
from helpers.evaluation.results import NO_DEFECT, PLANTED_DEFECTS
from helpers.files import save_table

DATASET = "fashion_mnist"
DRAWS = {500: 200, 2000: 100}  # with each defect, by number of images
HONEST_DRAWS = 400  # for the limits, and as many again for the false alarms
# The measured false alarms of 36 metrics shall all stay below 5 %. Of 400 draws the limits hold
# their own rate only to 0.7 %, and the measurement adds as much; so aim three deviations lower.
OUTSIDE = 4  # honest draws beyond each limit or on it: 2 % of 400 in all
SEED = 0
ONCE = ("probabilities", "nearest", "refused")  # of a description; the rest are feature spaces


# Defects of images: uint8 (N, H, W, C) to uint8 of that shape


def blur(images, sigma):
    """Convolve with a Gaussian of so many pixels, its edges repeated."""
    reach = int(np.ceil(4 * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights /= weights.sum()
    blurred = images.astype(np.float32)
    for axis in (1, 2):
        size = blurred.shape[axis]
        border = [(reach, reach) if each == axis else (0, 0) for each in range(4)]
        padded = np.pad(blurred, border, mode="edge")
        blurred = sum(
            weight * np.take(padded, range(start, start + size), axis)
            for start, weight in enumerate(weights)
        )
    return _bytes(blurred)


def add_noise(images, deviation):
    """Add normal noise of a deviation in shares of the range, drawn once."""
    noise = np.random.default_rng(SEED).normal(0, 255 * deviation, images.shape)
    return _bytes(images + noise)


def squeeze(images, low, high):
    """Lay [0, 255] onto [low, high]."""
    return _bytes(low + images / 255 * (high - low))


def invert(images):
    return 255 - images


def shift(images, pixels):
    """Move to the right; what becomes free is black."""
    moved = np.zeros_like(images)
    moved[:, :, pixels:] = images[:, :, :-pixels]
    return moved


def add_checkerboard(images, amplitude):
    """Make every second pixel brighter, the others darker, by a share of the range."""
    height, width = images.shape[1:3]
    sign = 1 - 2 * (np.indices((height, width)).sum(axis=0) % 2)
    return _bytes(images + 255 * amplitude * sign[None, :, :, None])


def _bytes(values):
    return np.uint8(np.clip(np.round(values), 0, 255))


# Defects of a choice of images: places (n,) to places (n,), with other places to take from


def lose_class(share):
    """A class drawn at random loses a share of its images to the other classes."""

    def choose(random, labels, chosen, spare):
        lost = random.integers(labels.max() + 1)
        places = np.flatnonzero(labels[chosen] == lost)
        return _replace(chosen, places, share, len(places), spare[labels[spare] != lost])

    return choose


def enlarge_class(share):
    """A class drawn at random grows by a share of its images at the cost of the others."""

    def choose(random, labels, chosen, spare):
        grown = random.integers(labels.max() + 1)
        is_grown = labels[chosen] == grown
        places = np.flatnonzero(~is_grown)
        return _replace(chosen, places, share, is_grown.sum(), spare[labels[spare] == grown])

    return choose


def repeat_one(share):
    """One image, chosen at random, takes a share of the places."""

    def choose(random, labels, chosen, spare):
        return _replace(chosen, np.arange(len(chosen)), share, len(chosen), chosen[:1])

    return choose


def _replace(chosen, places, share, of, substitutes):
    places = places[: round(share * of)]
    chosen = chosen.copy()
    chosen[places] = np.resize(substitutes, len(places))
    return chosen


@dataclass(frozen=True)
class Defect:
    """What becomes of real images so that they pass for badly generated ones.

    Attributes:
        name, size: for people.
        alter: uint8 images to uint8 images, or None.
        choose: takes random numbers, labels, chosen and spare places; returns places. Or None.
        copies: whether training images take the places.
        share: of the images that are altered, or copies.
    """

    name: str
    size: str
    alter: Callable | None = None
    choose: Callable | None = None
    copies: bool = False
    share: float = 1.0


def _defects():
    """Defect by defect, in rising size."""
    for share in (0.25, 0.5, 1):
        yield Defect("class missing", f"{share:.0%} of it", choose=lose_class(share))
    for share in (0.25, 0.5, 1):
        yield Defect("class doubled", f"{share:.0%} more", choose=enlarge_class(share))
    for share in (0.01, 0.1, 0.5):
        yield Defect("one image repeated", f"in {share:.0%}", choose=repeat_one(share))
    for share in (0.01, 0.1, 1):
        yield Defect("training copies", f"{share:.0%}", copies=True, share=share)
    for share in (0.01, 0.1, 1):
        yield Defect("inverted", f"{share:.0%}", invert, share=share)
    for low, high in ((16, 239), (64, 191), (128, 255)):
        yield Defect("wrong value range", f"{low} to {high}", _with(squeeze, low, high))
    for pixels in (1, 2):
        yield Defect("shifted", f"{pixels} px", _with(shift, pixels))
    for sigma in (0.4, 0.6, 1):
        yield Defect("blur", f"sigma {sigma} px", _with(blur, sigma))
    for deviation in (0.01, 0.03, 0.1):
        yield Defect("noise", f"sd {deviation:.0%}", _with(add_noise, deviation))
    for amplitude in (0.01, 0.03, 0.1):
        yield Defect("checkerboard", f"±{amplitude:.0%}", _with(add_checkerboard, amplitude))


def _with(function, *arguments):
    return lambda images: function(images, *arguments)


DEFECTS = tuple(_defects())


# Draws


def draw(random, count, labels, honest, defect=None, altered=None):
    """Descriptions of `count` real images and of as many that pass for generated ones.

    Args:
        labels: of the images to draw from, int (N,).
        honest: their description: arrays (N, ...), one row for each image.
        altered: that of the same images altered; of training images where the defect is copies.
    """
    real, chosen, spare = np.split(random.permutation(len(labels)), [count, 2 * count])
    if defect and defect.choose:
        chosen = defect.choose(random, labels, chosen, spare)
    generated = _rows(honest, chosen)
    if altered is not None:
        changed = round(defect.share * count)
        places = chosen[:changed]
        if defect.copies:
            some = next(iter(altered.values()))
            places = random.choice(len(some), changed, replace=False)
        kept, instead = _rows(honest, chosen[changed:]), _rows(altered, places)
        generated = {name: np.concatenate([instead[name], kept[name]]) for name in honest}
    return _rows(honest, real), generated


def _rows(description, places):
    return {name: array[places] for name, array in description.items()}


def measure(real, generated) -> dict[tuple[str, str], float]:
    """Every metric of two descriptions, by space and metric, to six digits.

    What is known of single images is compared with the real ones: confidence and the
    discriminator's answers as differences of their means.
    """
    values = {}
    for space in [name for name in real if name not in ONCE]:
        r, g = real[space], generated[space]
        precision, recall = metrics.precision_recall(r, g)
        density, coverage = metrics.density_coverage(r, g)
        values |= {
            (space, "Fréchet distance"): metrics.frechet_distance(r, g),
            (space, "kernel distance"): metrics.kernel_distance(r, g),
            (space, "precision"): precision,
            (space, "recall"): recall,
            (space, "density"): density,
            (space, "coverage"): coverage,
        }
    probabilities = real["probabilities"], generated["probabilities"]
    counts = [metrics.class_counts(each) for each in probabilities]
    sure = [each.max(axis=1).mean() for each in probabilities]
    nearest = generated["nearest"], real["nearest"]
    refused = [np.mean(each["refused"]) for each in (real, generated)]
    values |= {
        ("classifier", "class divergence"): metrics.class_divergence(*counts),
        ("classifier", "classes covered"): metrics.classes_covered(*counts),
        ("classifier", "confidence"): sure[1] - sure[0],
        ("pixels", "memorisation"): metrics.nearer_probability(*nearest),
        ("pixels", "near copies"): metrics.near_copies(*nearest),
        ("discriminator", "discriminator"): refused[1] - refused[0],
    }
    return {key: float(f"{value:.6g}") for key, value in values.items()}


def measure_draws(stage, draws, count, labels, honest, defect=None, altered=None):
    """The values of so many draws, by space and metric; float (draws,)."""

    def one(number):
        random = np.random.default_rng([SEED, count, stage, number])
        return measure(*draw(random, count, labels, honest, defect, altered))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(one, range(draws)))
    return {key: np.array([values[key] for values in found]) for key in found[0]}


def limits(values) -> tuple[float, float]:
    """The interval that honest values leave with about 2 % probability."""
    ordered = np.sort(values)
    outside = max(1, round(OUTSIDE / HONEST_DRAWS * len(values)))
    return float(ordered[outside - 1]), float(ordered[-outside])


def alarms(values, low, high) -> float:
    """Share of values strictly outside; one that often equals a limit gives no alarm there."""
    return float(np.mean((values < low) | (values > high)))


# The table


def run(labels, honest, altered_by, names, path=PLANTED_DEFECTS, defects=DEFECTS, draws=DRAWS,
        honest_draws=HONEST_DRAWS):  # fmt: skip
    """Measure what the table lacks, and write it after every defect and number of images.

    Args:
        labels, honest: as for `draw`.
        altered_by: function of a defect: the description of what it alters, or None.
        names: name and SHA-256 of each space.
    """
    rows = []  # of texts, so that what was measured stays as it is written
    if path.exists():
        rows = pd.read_csv(path, dtype=str, keep_default_na=False).to_dict("records")
    for row in rows:
        if (row["space"], row["sha256"]) not in names.values():
            raise SystemExit(
                f"{path.name} holds values of {row['space']} of other weights; delete it to "
                "measure all anew."
            )
    there = {(int(row["images"]), row["defect"], row["size"]) for row in rows}

    def add(count, name, size, values, judge):
        for (space, metric), measured in values.items():
            low, high, false_alarms = judge[names[space][0], metric]
            row = {
                "space": names[space][0], "sha256": names[space][1], "images": count,
                "defect": name, "size": size, "metric": metric, "draws": len(measured),
                "power": round(alarms(measured, low, high), 4), "false_alarms": false_alarms,
                "low": low, "high": high, "median": np.median(measured), "seed": SEED,
            }  # fmt: skip
            rows.append({key: _text(value) for key, value in row.items()})
        save_table(path, rows)
        new = rows[-len(values) :]
        powers = [f"{row['metric']} {row['power']}" for row in new if float(row["power"]) >= 0.5]
        print(f"{count} images, {name}, {size}: {', '.join(powers) or '-'}", flush=True)

    for count in draws:
        if (count, NO_DEFECT, NO_DEFECT) in there:
            continue
        first, second = (
            measure_draws(stage, honest_draws, count, labels, honest) for stage in (0, 1)
        )
        judge = {}
        for (space, metric), values in first.items():
            low, high = limits(values)
            rate = round(alarms(second[space, metric], low, high), 4)
            judge[names[space][0], metric] = low, high, rate
        add(count, NO_DEFECT, NO_DEFECT, second, judge)
    for defect in defects:
        missing = [n for n in draws if (n, defect.name, defect.size) not in there]
        altered = altered_by(defect) if missing else None
        for count in missing:
            judge = {
                (row["space"], row["metric"]): tuple(
                    float(row[name]) for name in ("low", "high", "false_alarms")
                )
                for row in rows
                if (int(row["images"]), row["defect"]) == (count, NO_DEFECT)
            }
            values = measure_draws(2, draws[count], count, labels, honest, defect, altered)
            add(count, defect.name, defect.size, values, judge)


def _text(value):
    return value if isinstance(value, str) else f"{value:.6g}"


def main():
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    arrays, _ = load_source(DATASET, whole=True)
    train, test = arrays["train_images"], arrays["test_images"]
    if (len(train), len(test)) != (60_000, 10_000):
        raise SystemExit("Only part of Fashion-MNIST could be read; set TFDS_DATA_DIR.")
    source = SOURCES[DATASET]
    card = {"dataset": DATASET, "title": source.title, "class_names": source.class_names}
    images = SimpleNamespace(card=card | {"image_shape": test.shape[1:], "labelled": True})
    spaces = {kind: feature_space(None, images, kind) for kind in ("classifier", "random")}
    path = ASSETS / "trained" / "fashion_mnist-28" / "discriminator_trained.keras"
    discriminator = load_model(path)
    names = {kind: (space.name, space.sha256[:12]) for kind, space in spaces.items()}
    names["discriminator"] = "the shipped discriminator", sha256(path)[:12]
    names["pixels"] = "pixels", ""

    def describe(images, copies=False):
        description = {}
        for kind, space in spaces.items():
            description[kind], probabilities = space.extract_features(images)
            if probabilities is not None:
                description["probabilities"] = probabilities
        logits = [
            discriminator(normalise(images[start : start + 500]), training=False)
            for start in range(0, len(images), 500)
        ]
        description["refused"] = np.concatenate(logits)[:, 0] < 0
        description["nearest"] = (
            np.zeros(len(images), np.float32)
            if copies
            else metrics.nearest_distances(images, train, block=2000)[0]
        )
        return description

    described = {}  # what the defect before altered: the next may alter the same at another share

    def altered_by(defect):
        kind = "copies" if defect.copies else defect.alter
        if kind is not None and kind not in described:
            described.clear()
            described[kind] = describe(train, True) if defect.copies else describe(kind(test))
        return described.get(kind)

    run(arrays["test_labels"], describe(test), altered_by, names)


if __name__ == "__main__":
    main()
