"""Numbers for the quality of generated images: arrays in, numbers out.

How sure a number is, `standard_error` says, the same way for each.
"""

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
    sets = _feature_sets(features_a, features_b)
    parts = [part for f in sets for part in (f.mean(0), np.atleast_2d(np.cov(f, rowvar=False)))]
    return gaussian_distance(*parts)


def extrapolated_distance(features_a, features_b, seed=0) -> float:
    """Squared Fréchet distance at infinitely many images.

    The bias of the plain distance falls as 1 / n. So a straight line in 1 / n is laid through the
    mean distances of 1, 2, 3 and 4 disjoint parts of the sets; its value at 1 / n = 0 is the
    answer: Chong and Forsyth (2020), arXiv 1911.07023.

    Args:
        features_a, features_b: float arrays (n_a, d) and (n_b, d), at least eight rows each; the
            bias is that straight only while n / 4 is several times d.
        seed: of the parts.

    Returns:
        The distance, in squared units of the features; it may fall below 0 by chance.

    Raises:
        ValueError: as `frechet_distance`, or there are fewer than eight rows.
    """
    random = np.random.default_rng(seed)
    a, b = (random.permutation(rows) for rows in _feature_sets(features_a, features_b, least=8))
    counts = np.arange(1, 5)  # of the parts; they are proportional to 1 / n
    means = []
    for count in counts:
        size_a, size_b = len(a) // count, len(b) // count  # what is left over is left out
        pairs = [
            (a[part * size_a :][:size_a], b[part * size_b :][:size_b]) for part in range(count)
        ]
        means.append(np.mean([frechet_distance(*pair) for pair in pairs]))
    return float(np.polyfit(counts, means, 1)[1])


def kernel_distance(features_a, features_b) -> float:
    """Kernel distance of two sets of features.

    The unbiased estimate of the squared maximum mean discrepancy with the kernel
    (x y / d + 1)^3: Binkowski et al. (2018), arXiv 1801.01401, who call it KID where the features
    are Inception's. They average over random subsets; here all images are one set, which is as
    unbiased and varies less.

    Args:
        features_a, features_b: float arrays (n_a, d) and (n_b, d), at least two rows each.

    Returns:
        The distance, without unit; 0 on average for equal distributions at every n, so it may be
        negative.

    Raises:
        ValueError: as `frechet_distance`.
    """
    a, b = _feature_sets(features_a, features_b)
    within = [
        # No image is compared with itself.
        (_kernel_sum(rows, rows) - np.sum((np.mean(rows**2, axis=1) + 1) ** 3))
        / (len(rows) * (len(rows) - 1))
        for rows in (a, b)
    ]
    return float(sum(within) - 2 * _kernel_sum(a, b) / (len(a) * len(b)))


def precision_recall(features_real, features_generated, k=3) -> tuple[float, float]:
    """Precision and recall of generated images.

    Around each image of a set lies a ball that reaches to its k-th nearest other image of that
    set. Precision is the share of generated images inside some ball of a real one; recall, the
    share of real images inside some ball of a generated one: Kynkäänniemi et al. (2019),
    arXiv 1904.06991.

    Args:
        features_real, features_generated: float arrays (n, d) and (m, d), more than k rows each.
        k: the neighbour that a ball reaches to, itself outside the ball.

    Returns:
        Precision and recall, each in [0, 1]. Both depend on n and m: compare only equal ones.

    Raises:
        ValueError: as `frechet_distance`, or there are at most k rows.
    """
    real, generated = _feature_sets(features_real, features_generated, least=k + 1)
    real_radii, generated_radii = _squared_radii(real, k), _squared_radii(generated, k)
    precise, recalled = np.zeros(len(generated), bool), np.zeros(len(real), bool)
    for place, squared in _squared_distances(real, generated):
        precise |= (squared < real_radii[place, None]).any(axis=0)
        recalled[place] = (squared < generated_radii).any(axis=1)
    return float(precise.mean()), float(recalled.mean())


def density_coverage(features_real, features_generated, k=5) -> tuple[float, float]:
    """Density and coverage of generated images.

    With the balls of `precision_recall` around real images only: density is the mean number of
    generated images in a ball, divided by its expectation for equal distributions, k m / n;
    coverage, the share of balls that hold one at least: Naeem et al. (2020), arXiv 2002.09797.

    Args:
        features_real, features_generated: float arrays (n, d) and (m, d), more than k rows each.
        k: the neighbour that a ball reaches to, itself outside the ball.

    Returns:
        Density, at least 0, and coverage, in [0, 1]. For equal distributions density is 1 on
        average, and coverage, for large and equal n and m, 1 - 1 / 2^k.

    Raises:
        ValueError: as `frechet_distance`, or there are at most k rows.
    """
    real, generated = _feature_sets(features_real, features_generated, least=k + 1)
    radii = _squared_radii(real, k)
    held = np.zeros(len(real), int)
    for place, squared in _squared_distances(real, generated):
        held[place] = (squared < radii[place, None]).sum(axis=1)
    return float(held.sum() / (k * len(generated))), float(np.mean(held > 0))


def class_counts(probabilities) -> np.ndarray:
    """How many images have each class as their most probable; float (n, K) to int (K,)."""
    return np.bincount(np.argmax(probabilities, axis=1), minlength=np.shape(probabilities)[1])


def class_divergence(real_counts, generated_counts) -> float:
    """Kullback-Leibler divergence of the classes of generated images from those of real ones.

    sum g ln (g / r), with the shares g of the generated and r of the real images. Half an image is
    added to every class of both, so that it stays finite where a class is empty. Metz et al.
    (2017), arXiv 1611.02163, measure lost modes by it.

    Args:
        real_counts, generated_counts: images of each class, int (K,).

    Returns:
        The divergence in nats, at least 0; ln K where one of K equally frequent classes is left.

    Raises:
        ValueError: the counts differ in shape.
    """
    real, generated = _same_classes(real_counts, generated_counts)
    r, g = ((counts + 0.5) / np.sum(counts + 0.5) for counts in (real, generated))
    return float(np.sum(g * np.log(g / r)))


def classes_covered(real_counts, generated_counts) -> int:
    """Number of classes of the real images that the generated ones show.

    A class counts where its share of the generated images is at least a tenth of its share of the
    real ones: less may be the classifier's mistakes.

    Args:
        real_counts, generated_counts: images of each class, int (K,), each with some image.

    Raises:
        ValueError: the counts differ in shape.
    """
    real, generated = _same_classes(real_counts, generated_counts)
    shown = generated / generated.sum() >= real / real.sum() / 10
    return int(np.sum(shown & (real > 0)))


def nearest_distances(queries, references, block=500) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each query image to its nearest reference image, and which one that is.

    Args:
        queries, references: arrays (n, ...) and (m, ...) with equal trailing shape, at least one
            image each, also mapped from a file. uint8 is read as x / 255, other numbers as they
            are.
        block: images of each kind compared at once; bounds the memory.

    Returns:
        Euclidean distances, float32 (n,), of images in [0, 1] where they are uint8, else in the
        units of the images; indices, int (n,), of the first where several are equally near.

    Raises:
        ValueError: there are no images, or the trailing shapes differ.
    """
    if not len(queries) or not len(references) or queries.shape[1:] != references.shape[1:]:
        raise ValueError(
            f"Images of shapes {queries.shape} and {references.shape} cannot be compared; all but "
            "the first number must be equal, and there must be an image of each kind."
        )
    places = [slice(start, start + block) for start in range(0, len(queries), block)]
    squared = np.full(len(queries), np.inf, np.float32)
    indices = np.zeros(len(queries), int)
    for first in range(0, len(references), block):
        others = _rows(references[first : first + block])
        norms = np.sum(others**2, axis=1)
        for place in places:
            part = _rows(queries[place])
            found = np.sum(part**2, axis=1)[:, None] + norms - 2 * part @ others.T
            nearest = found.min(axis=1)
            nearer = nearest < squared[place]
            indices[place] = np.where(nearer, first + found.argmin(axis=1), indices[place])
            squared[place] = np.where(nearer, nearest, squared[place])
    # The expanded square cancels badly for near copies, so measure the winners directly.
    gaps = (_rows(queries[place]) - _rows(references[indices[place]]) for place in places)
    return np.concatenate([np.linalg.norm(gap, axis=1) for gap in gaps]), indices


def nearer_probability(distances, others) -> float:
    """Probability that a distance is below another: the score called memorisation.

    With the distances of generated images and of held-out ones to their nearest training images it
    is a half where the generator copies no more than chance, and 1 where it hands out training
    images. The statistic is that of Mann and Whitney (Annals of Mathematical Statistics 18, 1947);
    Meehan et al. (2020), arXiv 2004.05675, test for copying by it. Plain pictures are near to
    everything, and noise is far: look at the nearest pairs, too.

    Args:
        distances, others: float (n,) and (m,), of `nearest_distances`, at least one each.

    Returns:
        The probability, in [0, 1], an equal distance counted half.
    """
    return float(np.mean(_share_above(distances, others)))


def near_copies(distances, held_out_distances) -> float:
    """Share of generated images nearer to the training images than the nearest held-out ones.

    Nearer, that is, than one in 200 held-out images is. Few copies hardly move
    `nearer_probability`, which asks all images alike; here, one per cent of copies triples the
    answer. Of an honest generator it is 0.005 on average, at every number of images: by how many
    of one sample an ordered value of another is exceeded, Epstein (Annals of Mathematical
    Statistics 25, 1954).

    Args:
        distances, held_out_distances: float (n,) and (m,), of `nearest_distances`, at least one
            each. With m below 199 the nearest held-out image is the limit, and the answer of an
            honest generator is 1 / (m + 1).

    Returns:
        The share, in [0, 1], an equal distance counted half.
    """
    held_out = np.sort(held_out_distances)
    below = 1 - _share_above(held_out, distances)  # the share below each held-out distance
    # The limit lies between two of them, so that the mean is 0.005 exactly.
    rank = max((len(held_out) + 1) / 200, 1)
    return float(np.interp(rank, np.arange(1, len(held_out) + 1), below))


def standard_error(statistic, *sets, splits=100, seed=0):
    """Standard error of a statistic of sets of images: by how much other images would change it.

    Each set is cut at random into halves A and B. They are independent, so (T(A) - T(B))^2 / 4 is
    on average half the variance of T of a half; and that is the variance of T of the whole where T
    behaves as an average over images: half-samples, McCarthy (Review of the International
    Statistical Institute 37, 1969). No image is drawn twice: the bootstrap's repeated images
    shrink covariances and distances to neighbours.

    T plus and minus twice its standard error holds T's mean at this number of images about 95
    times in 100. It says nothing of a bias at that number. It is up to 1.4 times too wide for a
    Fréchet or kernel distance of sets of one distribution, and for the near copies of fewer than
    400 images; a fifth too narrow for a coverage near 1 by few images. It is 0 where no half
    differs from another: where nothing is found in any, say.

    Args:
        statistic: takes as many arrays as there are `sets`; returns a number, or several.
        *sets: arrays of any shape; their first axis counts images, at least four.
        splits: how often the sets are halved; the answer's own relative error is about
            1 / sqrt(2 splits).
        seed: of the halving.

    Returns:
        The standard error, float64 of the shape of what `statistic` returns.

    Raises:
        ValueError: a set has fewer than four images.
    """
    if min(map(len, sets)) < 4:
        raise ValueError("A standard error needs at least four images in each set.")
    random = np.random.default_rng(seed)
    squares = []
    for _ in range(splits):
        halves = [
            images[random.choice(len(images), (2, len(images) // 2), replace=False)]
            for images in sets
        ]
        one, other = (np.asarray(statistic(*half), np.float64) for half in zip(*halves))
        squares.append((one - other) ** 2 / 4)
    return np.sqrt(np.mean(squares, axis=0))


def _rows(images) -> np.ndarray:
    """One float32 row per image; uint8 [0, 255] becomes [0, 1]."""
    rows = np.reshape(images, (len(images), -1))
    return np.float32(rows) / 255 if rows.dtype == np.uint8 else np.float32(rows)


def _square_root(covariance) -> np.ndarray:
    """Symmetric square root of a positive semi-definite matrix, (d, d) to (d, d)."""
    values, vectors = np.linalg.eigh(np.asarray(covariance, np.float64))
    return (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T


def _feature_sets(features_a, features_b, least=2) -> list[np.ndarray]:
    """Both sets as float64 (images, d), checked."""
    sets = [np.asarray(features, np.float64) for features in (features_a, features_b)]
    for features in sets:
        if features.ndim != 2 or len(features) < least:
            raise ValueError(
                f"Features have shape {features.shape}; needed is (images, features) with at "
                f"least {least} images."
            )
        if not np.isfinite(features).all():
            raise ValueError("Features hold NaN or infinity; look at the images that gave them.")
    if sets[0].shape[1] != sets[1].shape[1]:
        raise ValueError(
            f"Features of {sets[0].shape[1]} and {sets[1].shape[1]} dimensions cannot be "
            "compared; compute both with the same network."
        )
    return sets


def _squared_distances(rows, others, block=200):
    """Yield slices of `rows` and their squared distances to all `others`, float64 (block, m)."""
    norms = np.sum(others**2, axis=1)
    rounding = 1e-13 * norms.max()
    for start in range(0, len(rows), block):
        place = slice(start, start + block)
        squared = (-2 * rows[place]) @ others.T
        squared += np.sum(rows[place] ** 2, axis=1)[:, None]
        squared += norms
        squared[squared < rounding] = 0  # equal images are at distance 0, not at what is left
        yield place, squared


def _squared_radii(features, k) -> np.ndarray:
    """Squared distance of each row to its k-th nearest other row, (n, d) to (n,)."""
    radii = np.empty(len(features))
    for place, squared in _squared_distances(features, features):
        own = np.arange(len(squared))
        squared[own, place.start + own] = -1  # first of all, so that place k is the k-th other
        squared.partition(k, axis=1)
        radii[place] = squared[:, k]
    return radii


def _kernel_sum(rows, others, block=50) -> float:
    """Sum of the kernel (x y / d + 1)^3 over all pairs of a row and one of the others."""
    total = 0.0
    for start in range(0, len(rows), block):  # small blocks stay in the processor's cache
        base = (rows[start : start + block] / rows.shape[1]) @ others.T
        base += 1
        total += np.vdot(base * base, base)
    return total


def _same_classes(real_counts, generated_counts) -> list[np.ndarray]:
    """Both counts as arrays of one shape, checked."""
    counts = [np.asarray(real_counts), np.asarray(generated_counts)]
    if counts[0].shape != counts[1].shape:
        raise ValueError(
            f"Counts of {counts[0].shape} and {counts[1].shape} classes cannot be compared."
        )
    return counts


def _share_above(values, others) -> np.ndarray:
    """For each value the share of `others` above it, an equal one counted half; (n,) to (n,)."""
    ordered = np.sort(others)
    at_most = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return 1 - at_most / (2 * len(ordered))
