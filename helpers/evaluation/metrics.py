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
    sets = _feature_sets(features_a, features_b)
    parts = [part for f in sets for part in (f.mean(0), np.atleast_2d(np.cov(f, rowvar=False)))]
    return gaussian_distance(*parts)


def extrapolated_distance(features_a, features_b, seed=0) -> tuple[float, float]:
    """Squared Fréchet distance at infinitely many images, and its standard error.

    The bias of the plain distance falls as 1 / n. So a straight line in 1 / n is laid through the
    mean distances of 1, 2, 3 and 4 disjoint parts of the sets; its value at 1 / n = 0 is the
    answer: Chong and Forsyth (2020), arXiv 1911.07023.

    Args:
        features_a, features_b: float arrays (n_a, d) and (n_b, d), at least 16 rows each; the bias
            is that straight only while n / 4 is several times d.
        seed: of the parts and of the standard error.

    Returns:
        The distance, in squared units of the features; it may fall below 0 by chance. Its standard
        error, by `standard_error`.

    Raises:
        ValueError: as `frechet_distance`, or there are fewer than 16 rows.
    """
    sets = _feature_sets(features_a, features_b, at_least=16)
    random = np.random.default_rng(seed)
    counts = np.arange(1, 5)

    def at_infinity(*sets):
        shuffled = [random.permutation(features) for features in sets]
        distances = [
            np.mean([frechet_distance(*parts) for parts in zip(*_parts(shuffled, count))])
            for count in counts
        ]
        return np.polyfit(counts, distances, 1)[1]  # counts are proportional to 1 / n

    value = at_infinity(*sets)
    return float(value), float(standard_error(at_infinity, *sets, splits=20, seed=seed))


def kernel_distance(features_a, features_b) -> tuple[float, float]:
    """Kernel distance of two sets of features, and its standard error.

    The unbiased estimate of the squared maximum mean discrepancy with the kernel
    (x y / d + 1)^3: Binkowski et al. (2018), arXiv 1801.01401, who call it KID where the features
    are Inception's. They average over random subsets; here all images are one set, which is as
    unbiased and varies less.

    The standard error is that of a U-statistic (Hoeffding, Annals of Mathematical Statistics 19,
    1948), up to the second order in 1 / n, which is all there is where the distributions are equal;
    for few images of equal distributions it is up to a quarter too wide.
    The deviation over overlapping subsets, divided by the square root of their number, would be
    too small.

    Args:
        features_a, features_b: float arrays (n_a, d) and (n_b, d), at least two rows each.

    Returns:
        The distance, without unit; 0 on average for equal distributions at every n, so it may be
        negative. Its standard error.

    Raises:
        ValueError: as `frechet_distance`.
    """
    a, b = _feature_sets(features_a, features_b)
    sums = [
        _kernel_sums(a, a, others_only=True),
        _kernel_sums(b, b, others_only=True),
        _kernel_sums(a, b),
    ]
    (aa, _, _), (bb, _, _), (ab, ba, _) = sums
    n, m = len(a), len(b)
    # What each image adds: its likeness to the other images of its set less that to the other set.
    of_a = aa / (n - 1) - ab / m
    of_b = bb / (m - 1) - ba / n
    distance = of_a.mean() + of_b.mean()
    second_order = sum(times * _centred_square(*each) for times, each in zip((2, 2, 4), sums))
    # The variances of the additions hold the first order once and the second twice.
    both = 4 * np.var(of_a, ddof=1) / n + 4 * np.var(of_b, ddof=1) / m
    return float(distance), float(np.sqrt(max(both - second_order, second_order, 0.0)))


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
    real, generated = _feature_sets(features_real, features_generated, at_least=k + 1)
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
        Density, at least 0 and 1 on average for equal distributions; coverage, in [0, 1], on
        average `expected_coverage(n, m, k)` for equal distributions.

    Raises:
        ValueError: as `frechet_distance`, or there are at most k rows.
    """
    real, generated = _feature_sets(features_real, features_generated, at_least=k + 1)
    radii = _squared_radii(real, k)
    held = np.zeros(len(real), int)
    for place, squared in _squared_distances(real, generated):
        held[place] = (squared < radii[place, None]).sum(axis=1)
    return float(held.sum() / (k * len(generated))), float(np.mean(held > 0))


def expected_coverage(real_count, generated_count, k=5) -> float:
    """Mean coverage of two samples of one distribution, whatever that is, if it is continuous.

    A ball stays empty where the k nearest of all other images are real:
    1 - prod (n - 1 - i) / (n + m - 1 - i), i from 0 to k - 1. Naeem et al. (2020),
    arXiv 2002.09797, give it for n = m.
    """
    i = np.arange(k)
    empty = np.prod((real_count - 1 - i) / (real_count + generated_count - 1 - i))
    return float(1 - empty)


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


def memorisation(generated, held_out, train) -> tuple[float, float]:
    """Probability that a generated image is nearer to the training images than a held-out one.

    A half where the generator copies no more than chance; 1 where it hands out training images.
    The statistic is that of Mann and Whitney (Annals of Mathematical Statistics 18, 1947); Meehan
    et al. (2020), arXiv 2004.05675, test for copying by it. Plain pictures are near to everything,
    and noise is far: look at the nearest pairs, too.

    Args:
        generated, held_out, train: arrays of images as `nearest_distances` takes them, at least
            two generated and two held-out ones, of which the generator has seen none.

    Returns:
        The probability, in [0, 1], an equal distance counted half; its standard error for these
        training images (DeLong et al., Biometrics 44, 1988).

    Raises:
        ValueError: as `nearest_distances`.
    """
    return nearer_probability(
        nearest_distances(generated, train)[0], nearest_distances(held_out, train)[0]
    )


def nearer_probability(distances, others) -> tuple[float, float]:
    """Probability that a distance is below another, and its standard error: see `memorisation`.

    Args:
        distances, others: float (n,) and (m,), at least two each.
    """
    below, above = _share_above(distances, others), 1 - _share_above(others, distances)
    variance = np.var(below, ddof=1) / len(distances) + np.var(above, ddof=1) / len(others)
    return float(below.mean()), float(np.sqrt(variance))


def near_copies(distances, held_out_distances, share=1 / 200) -> tuple[float, float]:
    """Share of generated images nearer to the training images than the nearest held-out ones.

    Nearer than the held-out image at the quantile `share`, that is. Few copies hardly move the
    probability of `memorisation`, which asks all images alike; here, one per cent of copies triples
    the answer. Of an honest generator it is `share` on average, at every number of images: by how
    many of one sample an ordered value of another is exceeded, Epstein (Annals of Mathematical
    Statistics 25, 1954).

    The standard error holds both what varies: the share below the limit, and the limit itself, by
    how many more images lie below it one standard deviation of its rank further on. For copies it
    is up to three times too wide, because their number does not vary with the limit.

    Args:
        distances, held_out_distances: to the nearest training image, of `nearest_distances`, float
            (n,) and (m,), with which the generator was not trained; at least two each. With fewer
            than 1 / share - 1 held-out ones the nearest is the limit, and the answer of an honest
            generator is 1 / (m + 1).
        share: of the held-out images that are nearer than the limit, in (0, 0.5].

    Returns:
        The share, in [0, 1], an equal distance counted half; its standard error.

    Raises:
        ValueError: there are fewer than two distances, or `share` is no such number.
    """
    generated, held_out = np.asarray(distances), np.sort(held_out_distances)
    if min(len(generated), len(held_out)) < 2 or not 0 < share <= 0.5:
        raise ValueError(
            f"Near copies need two distances of each kind and a share in (0, 0.5]; there are "
            f"{len(generated)} and {len(held_out)}, and {share}."
        )
    # Below the ordered distance of each rank, 1 to m; the limit lies between two of them, so that
    # the mean is share exactly.
    below = 1 - _share_above(held_out, generated)
    rank = max(share * (len(held_out) + 1), 1)
    ranks = np.clip(rank + np.sqrt(rank) * np.array([-1, 0, 1]), 1, len(held_out))
    fewer, found, more = np.interp(ranks, np.arange(1, len(held_out) + 1), below)
    likely = max(found, rank / (len(held_out) + 1))  # none found does not mean that none can be
    of_the_limit = rank * ((more - fewer) / (ranks[2] - ranks[0])) ** 2
    variance = likely * (1 - likely) / len(generated) + of_the_limit
    return float(found), float(np.sqrt(variance))


def standard_error(statistic, *sets, splits=100, seed=0):
    """Standard error of a statistic of sets of images: by how much other images would change it.

    Each set is cut at random into halves A and B. They are independent, so (T(A) - T(B))^2 / 4 is
    on average half the variance of T of a half; and that is the variance of T of the whole where T
    behaves as an average over images: half-samples, McCarthy (Review of the International
    Statistical Institute 37, 1969). No image is drawn twice: the bootstrap's repeated images
    shrink covariances and distances to neighbours.

    T plus and minus twice its standard error holds T's mean at this number of images about 95
    times in 100. It says nothing of a bias at that number. It is up to 1.4 times too wide for a
    Fréchet distance of sets of one distribution, and a fifth too narrow for a coverage near 1 by
    few images.

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


def _feature_sets(features_a, features_b, at_least=2) -> list[np.ndarray]:
    """Both sets as float64 (images, d), checked."""
    sets = [np.asarray(features, np.float64) for features in (features_a, features_b)]
    for features in sets:
        if features.ndim != 2 or len(features) < at_least:
            least = "two" if at_least == 2 else at_least
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


def _parts(sets, count) -> list[list[np.ndarray]]:
    """Each set in `count` disjoint parts of equal size; what is left over is left out."""
    return [
        [rows[part * size : (part + 1) * size] for part in range(count)]
        for rows in sets
        for size in [len(rows) // count]
    ]


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


def _kernel_sums(rows, others, others_only=False, block=200):
    """Sums of the kernel (x y / d + 1)^3 over its columns (n,) and its rows (m,), and of squares.

    With `others_only`, `rows` are the `others` too, and none is compared with itself.
    """
    row_sums, column_sums, squares = np.empty(len(rows)), np.zeros(len(others)), 0.0
    for start in range(0, len(rows), block):
        base = (rows[start : start + block] / rows.shape[1]) @ others.T
        base += 1
        kernel = base * base
        kernel *= base
        if others_only:
            own = np.arange(len(kernel))
            kernel[own, start + own] = 0
        row_sums[start : start + block] = kernel.sum(axis=1)
        column_sums += kernel.sum(axis=0)
        squares += np.vdot(kernel, kernel)
    return row_sums, column_sums, squares


def _centred_square(row_sums, column_sums, squares) -> float:
    """Sum of squares of a kernel less its row and column means, over the squared number of all."""
    n, m = len(row_sums), len(column_sums)
    total = row_sums.sum() ** 2 / (n * m)
    rows, columns = np.sum(row_sums**2) / m, np.sum(column_sums**2) / n
    return (squares - rows - columns + total) / (n * m) ** 2


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
