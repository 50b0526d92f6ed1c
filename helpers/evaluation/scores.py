"""Every number of notebook 5 for sets of generated images, each with its standard error."""

import keras
import numpy as np

from helpers.evaluation import metrics
from helpers.evaluation.features import PIXELS, FeatureSpace, comparable, figure

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
    "memorisation": ("memorisation", "0.5"),
    "near_copies": ("near copies", "0.005"),
}
_FEW_IMAGES = 2_500  # up to so many, forty splits are fast for neighbours
_FEW_FEATURES = 256  # up to so many, they are for Fréchet distances


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
    bar = keras.utils.Progbar(2 + 4 * len(sets), width=20)
    real, real_probabilities = space.extract_features(held_out)
    bar.add(1)
    honest, _ = metrics.nearest_distances(held_out, train)
    bar.add(1)
    scores = {}
    for name, images in sets.items():
        features, probabilities = space.extract_features(images)
        found = _distances(real, features, seed)
        bar.add(1)
        if len(images) >= 12:  # halves of six, for their errors
            found |= _neighbours(real, features, seed)
        bar.add(1)
        if probabilities is not None:
            found |= _classes(real_probabilities, probabilities, seed)
        bar.add(1)
        nearest, _ = metrics.nearest_distances(images, train)
        found |= {
            "memorisation": metrics.nearer_probability(nearest, honest),
            "near_copies": metrics.near_copies(nearest, honest),
        }
        bar.add(1)
        scores[name] = {
            metric: figure(
                found[metric][0],
                PIXELS if metric in ("memorisation", "near_copies") else space,
                len(held_out),
                len(images),
                seed,
            )
            | {"standard_error": float(found[metric][1])}
            for metric in TITLES
            if metric in found
        }
    return scores


def print_scores(scores) -> None:
    """A table of `score`: a line for each metric, a column for each set, and what is wanted.

    Behind ± stand two standard errors.
    """
    names = list(scores)
    width = max(16, *(len(name) + 2 for name in names))
    print(f"{'':24}" + "".join(f"{name:>{width}}" for name in (*names, "wanted")))
    for metric in next(iter(scores.values())):
        records = comparable(scores[name][metric] for name in names)
        title, wanted = TITLES[metric]
        cells = (*map(_in_words, records), wanted)
        print(f"{title:24}" + "".join(f"{cell:>{width}}" for cell in cells))


def _in_words(record) -> str:
    value, twice = record["value"], 2 * record["standard_error"]
    if not twice:
        return f"{value:.3g}"
    digits = int(np.clip(1 - np.floor(np.log10(twice)), 0, 3))
    return f"{value:.{digits}f} ± {twice:.{digits}f}"


def _distances(real, features, seed) -> dict:
    splits = 100 if features.shape[1] <= _FEW_FEATURES else 4
    error = metrics.standard_error(
        metrics.frechet_distance, real, features, splits=splits, seed=seed
    )
    found = {
        "frechet": (metrics.frechet_distance(real, features), error),
        "kernel": metrics.kernel_distance(real, features),
    }
    if min(len(real), len(features)) >= 16 * features.shape[1]:
        found["frechet_at_infinity"] = metrics.extrapolated_distance(real, features, seed)
    return found


def _neighbours(real, features, seed) -> dict:
    splits = 40 if len(features) <= _FEW_IMAGES else 20

    def all_four(real, features):
        return (
            *metrics.precision_recall(real, features),
            *metrics.density_coverage(real, features),
        )

    errors = metrics.standard_error(all_four, real, features, splits=splits, seed=seed)
    names = ("precision", "recall", "density", "coverage")
    return dict(zip(names, zip(all_four(real, features), errors)))


def _classes(real, probabilities, seed) -> dict:
    def both(real, probabilities):
        counts = [metrics.class_counts(p) for p in (real, probabilities)]
        return metrics.class_divergence(*counts), metrics.classes_covered(*counts)

    errors = metrics.standard_error(both, real, probabilities, seed=seed)
    confidence = probabilities.max(axis=1)
    found = dict(
        zip(("class_divergence", "classes_covered"), zip(both(real, probabilities), errors))
    )
    error = confidence.std(ddof=1) / np.sqrt(len(confidence))
    return found | {"confidence": (confidence.mean(), error)}
