"""Numbers for the quality of generated images."""

import numpy as np


def gaussian_distance(mean_a, covariance_a, mean_b, covariance_b) -> float:
    """Squared Fréchet distance of two Gaussians.

    |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)), Dowson and Landau, Journal of
    Multivariate Analysis 12 (1982).

    Args:
        mean_a, mean_b: shape (d,).
        covariance_a, covariance_b: symmetric positive semi-definite, shape (d, d).

    Returns:
        The distance, at least 0, in squared units of the features.
    """
    # tr (C_a C_b)^(1/2) is the sum of the singular values of C_a^(1/2) C_b^(1/2); taking square
    # roots of symmetric matrices only keeps this exact where a covariance has no full rank.
    product = _square_root(covariance_a) @ _square_root(covariance_b)
    cross_trace = np.linalg.svd(product, compute_uv=False).sum()
    shift = np.sum((np.asarray(mean_a, float) - np.asarray(mean_b, float)) ** 2)
    spread = np.trace(covariance_a) + np.trace(covariance_b) - 2 * cross_trace
    return float(max(shift + spread, 0.0))


def frechet_distance(features_a, features_b) -> float:
    """Squared Fréchet distance between Gaussians fitted to two sets of features.

    Heusel et al. (2017), arXiv 1706.08500; there the features are Inception's.

    Args:
        features_a, features_b: float arrays (n_a, d) and (n_b, d), at least two rows each.

    Returns:
        The distance, at least 0. It falls as n grows: compare only equal n.

    Raises:
        ValueError: the arrays are not two-dimensional, differ in d, have fewer than two rows or
            hold a value that is not finite.
    """
    sets = [np.asarray(features, np.float64) for features in (features_a, features_b)]
    for features in sets:
        if features.ndim != 2 or len(features) < 2:
            raise ValueError(
                f"Features have shape {features.shape}; needed is (images, features) with at "
                "least two images."
            )
        if not np.isfinite(features).all():
            raise ValueError("Features hold NaN or infinity; look at the images that gave them.")
    if sets[0].shape[1] != sets[1].shape[1]:
        raise ValueError(
            f"Features of {sets[0].shape[1]} and {sets[1].shape[1]} dimensions cannot be "
            "compared; compute both with the same network."
        )
    parts = [part for f in sets for part in (f.mean(0), np.atleast_2d(np.cov(f, rowvar=False)))]
    return gaussian_distance(*parts)


def nearest_distances(queries, references, block=500) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each query image to its nearest reference image, and which one that is.

    Args:
        queries, references: arrays (n, ...) and (m, ...) with equal trailing shape, also mapped
            from a file. uint8 is read as x / 255, block by block; other numbers as they are.
        block: images of each kind compared at once; bounds the memory.

    Returns:
        Euclidean distances, float32 (n,), of images in [0, 1] where they are uint8, else in the
        units of the images; indices, int (n,), of the first where several are equally near.

    Raises:
        ValueError: there are no references, or the trailing shapes differ.
    """
    if not len(references) or queries.shape[1:] != references.shape[1:]:
        raise ValueError(
            f"Images of shapes {queries.shape} and {references.shape} cannot be compared; all but "
            "the first number must be equal, and there must be a reference."
        )
    squared = np.full(len(queries), np.inf, np.float32)
    indices = np.zeros(len(queries), int)
    for first in range(0, len(references), block):
        others = _rows(references[first : first + block])
        norms = np.sum(others**2, axis=1)
        for start in range(0, len(queries), block):
            part = _rows(queries[start : start + block])
            found = np.sum(part**2, axis=1)[:, None] + norms - 2 * part @ others.T
            nearest, place = found.min(axis=1), slice(start, start + block)
            nearer = nearest < squared[place]
            indices[place] = np.where(nearer, first + found.argmin(axis=1), indices[place])
            squared[place] = np.where(nearer, nearest, squared[place])
    # The expanded square cancels badly for near copies, so measure the winners directly.
    distances = [
        np.linalg.norm(
            _rows(queries[start : start + block])
            - _rows(references[indices[start : start + block]]),
            axis=1,
        )
        for start in range(0, len(queries), block)
    ]
    return np.concatenate([np.zeros(0, np.float32), *distances]), indices


def _rows(images) -> np.ndarray:
    """One float32 row per image; uint8 [0, 255] becomes [0, 1]."""
    rows = np.reshape(images, (len(images), -1))
    return np.float32(rows) / 255 if rows.dtype == np.uint8 else np.float32(rows)


def _square_root(covariance) -> np.ndarray:
    """Symmetric square root of a positive semi-definite matrix, (d, d) to (d, d)."""
    values, vectors = np.linalg.eigh(np.asarray(covariance, np.float64))
    return (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
