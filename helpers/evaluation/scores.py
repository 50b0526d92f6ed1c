"""Every number of lesson 5 for sets of generated images, each with its standard error."""

import keras
import numpy as np

from helpers.evaluation import metrics
from helpers.evaluation.features import PIXELS, FeatureSpace, figure

TITLES = {  # and what is wanted
    "frechet": ("Fréchet distance", "low"),
    "frechet_at_infinity": ("the same, at infinity", "0"),
    "kernel": ("kernel distance", "0"),
    "precision": ("precision", "as real"),
    "recall": ("recall", "as real"),
    "density": ("density", "1"),
    "coverage": ("coverage", "as real"),
    "class_divergence": ("class divergence", "0"),
    "classes_covered": ("classes covered", "all"),
    "confidence": ("confidence", "as real"),
    "memorisation": ("memorisation", "at most 0.5"),
    "near_copies": ("near copies", "at most 0.005"),
}


def score(sets, space: FeatureSpace, held_out, train, seed: int = 0) -> dict:
    """All metrics of sets of images against held-out real ones.

    Training images as one of the sets give the floor of every distance; for the metrics of copies
    they are the worst case.

    Args:
        sets: name to images, each uint8 (N, H, W, C), as many as held-out ones.
        held_out: real images uint8 (N, H, W, C) that no generator has seen; at least six.
        train: all training images, uint8, of the same height, width and channels.
        seed: of the splits of the standard errors; stored with the figures.

    Returns:
        For each name of a set, and each metric in the order of `TITLES`, a record of
        `features.figure` with a `standard_error` besides. Those that need class probabilities are
        left out where the space has none; the extrapolated distance, where there are fewer than 16
        images to a feature; those that look at neighbours, below twelve images.

    Raises:
        ValueError: images of differing shapes or numbers, or too few.
    """
    for name, images in sets.items():
        if not 6 <= len(images) == len(held_out):
            raise ValueError(
                f"There are {len(images):,} images of {name!r} and {len(held_out):,} held-out "
                "ones; needed are equal numbers, at least 6."
            )
    bar = keras.utils.Progbar(1 + 2 * len(sets), width=20)
    real = space.extract_features(held_out)
    honest, _ = metrics.nearest_distances(held_out, train)
    bar.add(1)
    scores = {}
    for name, images in sets.items():
        nearest, _ = metrics.nearest_distances(images, train)
        bar.add(1)
        found = _all_numbers(real, space.extract_features(images), honest, nearest, seed)
        bar.add(1)
        scores[name] = {}
        for metric in (metric for metric in TITLES if metric in found):
            value, error = found[metric]
            of = PIXELS if metric in ("memorisation", "near_copies") else space
            record = figure(value, of, len(held_out), len(images), seed)
            scores[name][metric] = record | {"standard_error": float(error)}
    return scores


def _all_numbers(real, generated, honest, nearest, seed) -> dict:
    """Value and standard error by metric.

    Args:
        real, generated: features, and probabilities or None.
        honest, nearest: distances of the real and the generated images to their nearest training
            images.
    """
    (real, real_probabilities), (features, probabilities) = real, generated
    count, width = features.shape
    # What compares all pairs of images takes long, and so does what has many features.
    pair_splits = 40 if count <= 2500 else 20
    distance_splits = 100 if width <= 256 else 4
    found = {}

    def measure(names, statistic, *sets, splits=100):
        values = np.atleast_1d(statistic(*sets))
        errors = metrics.standard_error(statistic, *sets, splits=splits, seed=seed)
        found.update(zip(names, zip(values, np.atleast_1d(errors))))

    measure(["frechet"], metrics.frechet_distance, real, features, splits=distance_splits)
    if count >= 16 * width:
        at_infinity = lambda a, b: metrics.extrapolated_distance(a, b, seed)  # noqa: E731
        measure(["frechet_at_infinity"], at_infinity, real, features, splits=20)
    kernel_splits = min(pair_splits, distance_splits)
    measure(["kernel"], metrics.kernel_distance, real, features, splits=kernel_splits)
    if count >= 12:  # halves of six
        for names, statistic in (
            (["precision", "recall"], metrics.precision_recall),
            (["density", "coverage"], metrics.density_coverage),
        ):
            measure(names, statistic, real, features, splits=pair_splits)
    if probabilities is not None:
        measure(
            ["class_divergence", "classes_covered"], _classes, real_probabilities, probabilities
        )
        measure(["confidence"], np.mean, probabilities.max(axis=1))
    measure(["memorisation"], metrics.nearer_probability, nearest, honest)
    measure(["near_copies"], metrics.near_copies, nearest, honest)
    return found


def _classes(real, generated) -> tuple[float, int]:
    counts = [metrics.class_counts(probabilities) for probabilities in (real, generated)]
    return metrics.class_divergence(*counts), metrics.classes_covered(*counts)


def print_scores(scores) -> None:
    """A table of `score`: a line for each metric, a column for each set, and what is wanted.

    Behind ± stand two standard errors.
    """
    width = max(16, *(len(name) + 2 for name in scores))
    print(f"{'':24}" + "".join(f"{name:>{width}}" for name in (*scores, "wanted")))
    for metric in next(iter(scores.values())):
        title, wanted = TITLES[metric]
        cells = [*(_in_words(records[metric]) for records in scores.values()), wanted]
        print(f"{title:24}" + "".join(f"{cell:>{width}}" for cell in cells))


def _in_words(record) -> str:
    value, twice = record["value"], 2 * record["standard_error"]
    if not twice:
        return f"{value:.3g}"
    digits = int(np.clip(1 - np.floor(np.log10(twice)), 0, 3))
    return f"{value:.{digits}f} ± {twice:.{digits}f}"
