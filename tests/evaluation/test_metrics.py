"""Distances between sets of images, against closed forms, plain formulas and other packages."""

import json

import numpy as np
import pytest
from references.make_metrics import NEIGHBOURS, VALUES, cases

from helpers import frechet_distance, gaussian_distance, metrics, nearest_distances

CASES = cases()
REFERENCES = json.loads(VALUES.read_text(encoding="utf-8"))


def gaussian(seed, dimensions, rank=None):
    """A random mean and covariance of that rank."""
    random = np.random.default_rng(seed)
    factor = random.normal(size=(dimensions, rank or dimensions))
    return random.normal(size=dimensions), factor @ factor.T


def by_eigenvalues(mean_a, covariance_a, mean_b, covariance_b):
    """The textbook's formula: tr (C_a C_b)^(1/2) from the eigenvalues of the product."""
    values = np.linalg.eigvals(covariance_a @ covariance_b).real
    cross = np.sqrt(np.clip(values, 0, None)).sum()
    return np.sum((mean_a - mean_b) ** 2) + np.trace(covariance_a + covariance_b) - 2 * cross


@pytest.mark.parametrize(
    ("mean", "deviation", "distance"),
    [(3, 2, 10), (0, 1, 0), (-3, 2, 10), (0, 5, 16), (4, 1, 16), (0, 0, 1)],
)
def test_one_dimension(mean, deviation, distance):
    """Of N(0, 1) and N(m, s^2): m^2 + (s - 1)^2."""
    assert gaussian_distance([0], [[1]], [mean], [[deviation**2]]) == pytest.approx(distance)


@pytest.mark.parametrize(
    ("dimensions", "rank_a", "rank_b"), [(1, 1, 1), (6, 6, 6), (6, 2, 6), (6, 2, 3), (12, 1, 1)]
)
def test_agrees_with_the_textbook(dimensions, rank_a, rank_b):
    a, b = gaussian(1, dimensions, rank_a), gaussian(2, dimensions, rank_b)
    distance = gaussian_distance(*a, *b)
    assert distance == pytest.approx(by_eigenvalues(*a, *b), rel=1e-5, abs=1e-5)
    assert distance == pytest.approx(gaussian_distance(*b, *a), rel=1e-9)
    assert distance > 0


def test_orthogonal_supports_share_nothing():
    """Two flat Gaussians at right angles: both traces remain, exactly."""
    a, b = np.diag([4.0, 0, 0]), np.diag([0, 9.0, 0])
    assert gaussian_distance(np.zeros(3), a, np.zeros(3), b) == pytest.approx(13)


@pytest.mark.parametrize("rank", [6, 3, 1])
def test_identical_gaussians_are_at_distance_zero(rank):
    mean, covariance = gaussian(3, 6, rank)
    distance = gaussian_distance(mean, covariance, mean, covariance)
    assert 0 <= distance < 1e-6


@pytest.mark.parametrize(("images", "features"), [(500, 6), (50, 1), (4, 10), (2, 64)])
def test_frechet_fits_gaussians(images, features):
    random = np.random.default_rng(4)
    a, b = random.normal(size=(2, images, features))
    a, b = a.astype(np.float32), 2 * b.astype(np.float32) + 1
    covariances = [np.cov(x.astype(float).T).reshape(features, features) for x in (a, b)]
    means = [x.astype(float).mean(axis=0) for x in (a, b)]
    expected = by_eigenvalues(means[0], covariances[0], means[1], covariances[1])
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-4, abs=1e-4)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a))
    assert 0 <= frechet_distance(a, a) < 1e-6
    order = random.permutation(images)
    assert frechet_distance(a[order], b) == pytest.approx(frechet_distance(a, b))


def test_frechet_of_a_shift_is_its_square():
    features = np.random.default_rng(5).normal(size=(100, 8))
    shift = np.arange(8)
    assert frechet_distance(features, features + shift) == pytest.approx(np.sum(shift**2))


def test_frechet_sees_lost_diversity():
    """Same mean, half the spread: a collapsed generator does not score zero."""
    features = np.random.default_rng(6).normal(size=(400, 3))
    features -= features.mean(axis=0)
    spread = np.trace(np.cov(features.T))
    assert frechet_distance(features, features / 2) == pytest.approx(spread / 4)


@pytest.mark.parametrize("block", [1, 7, 500])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_nearest_against_brute_force(kind, block):
    random = np.random.default_rng(7)
    references = random.integers(0, 256, (60, 7, 7, 1))
    queries = random.integers(0, 256, (23, 7, 7, 1))
    queries[5], queries[22] = references[41], references[0]  # planted copies
    queries[9] = references[13]
    queries[9, 0, 0, 0] = (queries[9, 0, 0, 0] + 128) % 256  # and a near one
    if kind is np.float32:
        queries, references = queries / 127.5 - 1, references / 127.5 - 1
    distances, indices = nearest_distances(queries.astype(kind), references.astype(kind), block)
    unit = 255 if kind is np.uint8 else 1  # bytes are read as [0, 1]
    every = [[np.linalg.norm((float_(q) - float_(r)) / unit) for r in references] for q in queries]
    np.testing.assert_array_equal(indices, np.argmin(every, axis=1))
    np.testing.assert_allclose(distances, np.min(every, axis=1), rtol=1e-5, atol=1e-6)
    assert distances[5] == distances[22] == 0 and (indices[5], indices[22]) == (41, 0)
    assert distances[9] == pytest.approx(128 / 255 if kind is np.uint8 else 128 / 127.5)
    assert (np.delete(distances, [5, 22]) > 0).all()


def test_nearest_reads_mapped_files_block_by_block(tmp_path, monkeypatch):
    random = np.random.default_rng(8)
    references = random.integers(0, 256, (53, 6, 6, 3), dtype=np.uint8)
    queries = random.integers(0, 256, (9, 6, 6, 3), dtype=np.uint8)
    queries[4] = references[52]
    np.save(tmp_path / "references.npy", references)
    mapped = np.load(tmp_path / "references.npy", mmap_mode="r")
    converted = []
    rows = metrics._rows
    monkeypatch.setattr(metrics, "_rows", lambda x: converted.append(len(x)) or rows(x))
    distances, indices = nearest_distances(queries, mapped, block=10)
    assert max(converted) <= 10
    assert isinstance(mapped, np.memmap)
    every = np.linalg.norm(
        queries.reshape(9, 1, -1) / 255 - references.reshape(1, 53, -1) / 255, axis=-1
    )
    np.testing.assert_array_equal(indices, every.argmin(axis=1))
    np.testing.assert_allclose(distances, every.min(axis=1), atol=1e-5)
    assert distances[4] == 0 and distances.dtype == np.float32


def test_nearest_takes_the_first_of_equals():
    references = np.zeros((7, 2, 2, 1), np.uint8)
    for block in (1, 3, 500):
        assert nearest_distances(references[:2], references, block)[1].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("queries", "references"), [((2, 4, 4, 1), (3, 4, 4, 3)), ((2, 4), (0, 4))]
)
def test_nearest_refuses_what_cannot_be_compared(queries, references):
    with pytest.raises(ValueError, match="cannot be compared") as caught:
        nearest_distances(np.zeros(queries), np.zeros(references))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", CASES)
def test_equal_to_torch_fidelity(name):
    real, generated = CASES[name]
    reference = REFERENCES[name]
    distance = frechet_distance(real, generated)
    assert distance == pytest.approx(reference["frechet"], rel=1e-6, abs=1e-9)
    size = min(len(real), len(generated))
    distance, _ = metrics.kernel_distance(real[:size], generated[:size])
    assert distance == pytest.approx(reference["kernel"], rel=1e-6)


@pytest.mark.parametrize("k", NEIGHBOURS)
@pytest.mark.parametrize("name", CASES)
def test_equal_to_prdc(name, k):
    reference = REFERENCES[name]["neighbours"][str(k)]
    values = metrics.precision_recall(*CASES[name], k), metrics.density_coverage(*CASES[name], k)
    names = ("precision", "recall", "density", "coverage")
    assert np.ravel(values) == pytest.approx([reference[name] for name in names], rel=1e-6)


def test_references_are_of_these_cases():
    assert list(REFERENCES) == list(CASES)


def test_kernel_distance_of_unequal_counts():
    """The definition: means of the kernel over all pairs of different images."""
    random = np.random.default_rng(9)
    a, b = random.normal(size=(230, 5)), random.normal(0.5, 1, size=(30, 5))
    aa, bb, ab = ((x @ y.T / 5 + 1) ** 3 for x, y in ((a, a), (b, b), (a, b)))
    within = [k[~np.eye(len(k), dtype=bool)].mean() for k in (aa, bb)]
    expected = sum(within) - 2 * ab.mean()
    assert metrics.kernel_distance(a, b)[0] == pytest.approx(expected, rel=1e-9)
    assert metrics.kernel_distance(a, b) == pytest.approx(metrics.kernel_distance(b, a))


def normal_sets(n, m, d, shift=0.0, scale=1.0):
    """200 times two sets of features, of N(0, 1) and N(shift, scale^2)."""
    for seed in range(200):
        random = np.random.default_rng(seed)
        yield random.normal(size=(n, d)), random.normal(shift, scale, (m, d))


@pytest.mark.parametrize(("n", "m", "d"), [(100, 100, 4), (60, 150, 4), (150, 150, 48)])
def test_kernel_distance_of_one_distribution(n, m, d):
    """0 on average; its standard error is true to a third, and holds 0."""
    values, errors = np.transpose([metrics.kernel_distance(*s) for s in normal_sets(n, m, d)])
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(len(values))
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(values.std(), rel=0.35)
    assert np.mean(abs(values) <= 2 * errors) >= 0.93


def test_kernel_distance_of_a_shift():
    """In one dimension, of N(0, 1) and N(m, 1), by the moments of both."""
    shift = 0.5
    first, second, third = shift, shift**2, shift**3 + 3 * shift  # differences of moments
    truth = 3 * first**2 + 3 * second**2 + third**2  # of (xy + 1)^3 = 1 + 3xy + 3(xy)^2 + (xy)^3
    sets = normal_sets(150, 100, 1, shift)
    values, errors = np.transpose([metrics.kernel_distance(*s) for s in sets])
    assert abs(values.mean() - truth) < 3 * values.std() / np.sqrt(len(values))
    assert 0.88 <= np.mean(abs(values - truth) <= 2 * errors) <= 0.99


@pytest.mark.parametrize(("n", "m", "k"), [(40, 40, 5), (60, 20, 3), (20, 60, 1)])
@pytest.mark.parametrize("draw", ["normal", "exponential"])
def test_expected_coverage_and_density(n, m, k, draw):
    random = np.random.default_rng(10)
    draws = [[getattr(random, draw)(size=(x, 3)) for x in (n, m)] for _ in range(300)]
    density, coverage = np.transpose([metrics.density_coverage(*sets, k) for sets in draws])
    for values, truth in ((density, 1), (coverage, metrics.expected_coverage(n, m, k))):
        assert abs(values.mean() - truth) < 3.5 * values.std() / np.sqrt(len(values))


def test_expected_coverage_by_hand():
    """Two and two images: the nearest of the three others is generated two times in three."""
    assert metrics.expected_coverage(2, 2, 1) == pytest.approx(2 / 3)
    assert metrics.expected_coverage(10_000, 10_000, 5) == pytest.approx(1 - 2**-5, abs=1e-4)


def test_balls_by_hand():
    """Reals at 0, 1, 3: radii 1, 1, 2. An edge is outside, a copy inside."""
    real, generated = np.array([[0.0], [1], [3]]), np.array([[1.5], [5], [3]])
    assert metrics.precision_recall(real, generated, k=1) == pytest.approx((2 / 3, 2 / 3))
    density, coverage = metrics.density_coverage(real, generated, k=1)
    assert (density, coverage) == pytest.approx((3 / 3, 2 / 3))


@pytest.mark.parametrize("metric", [metrics.precision_recall, metrics.density_coverage])
def test_neighbours_do_not_depend_on_the_block(metric, monkeypatch):
    sets = CASES["more real"]
    whole = metric(*sets)
    by_block = metrics._squared_distances
    monkeypatch.setattr(metrics, "_squared_distances", lambda a, b: by_block(a, b, block=7))
    assert metric(*sets) == whole


def test_equal_images_are_at_distance_zero():
    """A generator that repeats one image has balls of no size, whatever rounding says."""
    random = np.random.default_rng(11)
    real = random.normal(3, 1, (50, 64)).astype(np.float32)
    ((_, squared),) = metrics._squared_distances(np.float64(real), np.float64(real))
    assert (np.diag(squared) == 0).all() and np.count_nonzero(squared) == 50 * 49
    assert metrics.precision_recall(real, real[np.zeros(50, int)]) == (1, 0)
    assert metrics.density_coverage(real[np.zeros(50, int)], real) == (0, 0)


def test_class_counts_take_the_most_probable():
    probabilities = np.array([[0.2, 0.7, 0.1], [0.9, 0.05, 0.05], [0.3, 0.4, 0.3]])
    counts = metrics.class_counts(probabilities)
    assert counts.tolist() == [1, 2, 0] and counts.dtype.kind == "i"


def test_class_divergence():
    assert metrics.class_divergence([30, 20], [30, 20]) == 0
    assert metrics.class_divergence([30, 20], [60, 40]) == pytest.approx(0, abs=1e-4)
    one, other = np.array([0.6, 0.4]), np.array([0.2, 0.8])
    expected = np.sum(other * np.log(other / one))  # of the second from the first
    counts = one * 1e7, other * 1e7
    assert metrics.class_divergence(*counts) == pytest.approx(expected, rel=1e-5)
    one_left = np.eye(10)[3] * 1e7
    assert metrics.class_divergence(np.full(10, 1e6), one_left) == pytest.approx(np.log(10), 1e-4)
    assert np.isfinite(metrics.class_divergence([0, 9], [9, 0]))


def test_classes_covered():
    assert metrics.classes_covered([100, 100, 100, 0], [280, 10, 9, 1]) == 2
    assert metrics.classes_covered([100, 100], [9, 1]) == 2
    assert metrics.classes_covered([7, 7, 7], [1, 1, 1]) == 3


def test_memorisation():
    random = np.random.default_rng(12)
    train, held_out, fresh = random.integers(0, 256, (3, 60, 6, 6, 1), np.uint8)
    assert metrics.memorisation(train[:40], held_out, train) == (1, 0)
    probability, error = metrics.memorisation(fresh, held_out, train)
    assert abs(probability - 0.5) < 3 * error < 0.3


def test_nearer_probability():
    """Against all pairs, with equal ones; its standard error holds the truth."""
    random = np.random.default_rng(13)
    a, b = random.integers(0, 9, 30), random.integers(2, 11, 40)
    pairs = (a[:, None] < b) + 0.5 * (a[:, None] == b)
    assert metrics.nearer_probability(a, b)[0] == pytest.approx(pairs.mean())
    for shift, truth in ((0, 0.5), (1, 0.760250)):  # Phi(shift / sqrt 2)
        sets = ((a[:, 0], b[:, 0]) for a, b in normal_sets(80, 120, 1, shift))
        values, errors = np.transpose([metrics.nearer_probability(*s) for s in sets])
        assert 0.9 <= np.mean(abs(values - truth) <= 2 * errors) <= 0.99


@pytest.mark.parametrize(("n", "m"), [(500, 500), (300, 1000), (1000, 250), (400, 199)])
def test_near_copies_of_an_honest_generator(n, m):
    """One in 200 on average, exactly; its standard error is true to a third."""
    random = np.random.default_rng(15)
    draws = [metrics.near_copies(random.normal(size=n), random.normal(size=m)) for _ in range(3000)]
    values, errors = np.transpose(draws)
    assert abs(values.mean() - 0.005) < 3.5 * values.std() / np.sqrt(len(values))
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(values.std() * 1.15, rel=0.2)
    assert np.mean(abs(values - 0.005) <= 2 * errors) >= 0.93


def test_near_copies_of_a_generator_that_is_nearer():
    """The limit varies more than the share below it; the standard error holds both."""
    random = np.random.default_rng(16)
    sets = (random.normal((-1, 0), 1, (2000, 2)).T for _ in range(400))
    values, errors = np.transpose([metrics.near_copies(*each) for each in sets])
    alone = np.sqrt(values.mean() * (1 - values.mean()) / 2000)
    assert values.std() > 2 * alone
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(values.std(), rel=0.25)
    assert 0.88 <= np.mean(abs(values - values.mean()) <= 2 * errors) <= 0.99


def test_near_copies_finds_few_copies():
    """One in fifty: the share rises by it, and the probability of memorisation hardly moves."""
    random = np.random.default_rng(17)
    held_out, generated = random.exponential(1, (2, 2000)) + 1
    honest, _ = metrics.near_copies(generated, held_out)
    generated[:40] = 0
    copied, error = metrics.near_copies(generated, held_out)
    assert copied - honest == pytest.approx(0.02, abs=0.001) and copied - 0.005 > 2 * error
    assert abs(metrics.nearer_probability(generated, held_out)[0] - 0.5) < 0.03


def test_near_copies_by_hand():
    """Of three held-out distances the limit of a quarter is the first, of a half the second."""
    held_out, generated = [3.0, 1, 2], [0.5, 1, 1.5, 9]
    assert metrics.near_copies(generated, held_out, 1 / 4)[0] == pytest.approx(1.5 / 4)
    assert metrics.near_copies(generated, held_out, 1 / 2)[0] == pytest.approx(3 / 4)
    assert metrics.near_copies(generated, held_out, 3 / 8)[0] == pytest.approx(2.25 / 4)  # between
    assert metrics.near_copies(generated, held_out)[0] == pytest.approx(1.5 / 4)  # the nearest
    assert (
        metrics.near_copies([5.0] * 9, held_out)[0] == 0 < metrics.near_copies([5] * 9, [1, 2])[1]
    )


@pytest.mark.parametrize(
    ("generated", "held_out", "share"), [(1, 9, 0.1), (9, 1, 0.1), (9, 9, 0), (9, 9, 0.6)]
)
def test_near_copies_refuses(generated, held_out, share):
    with pytest.raises(ValueError, match="Near copies need") as caught:
        metrics.near_copies(np.ones(generated), np.ones(held_out), share)
    assert "\n" not in str(caught.value)


def test_standard_error_of_a_mean():
    images = np.random.default_rng(14).normal(size=(1000, 3))
    error = metrics.standard_error(lambda x: x.mean(axis=0), images, splits=500)
    assert error == pytest.approx(images.std(axis=0) / np.sqrt(1000), rel=0.15)
    again = metrics.standard_error(lambda x: x.mean(axis=0), images, splits=500)
    np.testing.assert_array_equal(error, again)


@pytest.mark.parametrize(
    ("metric", "shift", "scale"),
    [
        (frechet_distance, 0.4, 1),
        (frechet_distance, 0, 1.5),
        (metrics.precision_recall, 0, 1),
        (metrics.precision_recall, 0.5, 1),
        (metrics.density_coverage, 0, 1),
        (metrics.density_coverage, 0.5, 1),
    ],
)
def test_standard_error_holds_what_it_says(metric, shift, scale):
    """In 200 draws, twice the standard error reaches the mean in 90 to 98 of 100, give or take."""
    sets = normal_sets(200, 200, 6, shift, scale)
    found = [(metric(*s), metrics.standard_error(metric, *s, splits=20)) for s in sets]
    values, errors = (np.array(part) for part in zip(*found))
    held = np.mean(abs(values - values.mean(axis=0)) <= 2 * errors, axis=0)
    assert (held >= 0.9).all() and (held <= 0.985).all()


def test_extrapolation_is_nearer_the_truth():
    truth = 6 * 0.3**2
    found = [
        (frechet_distance(*sets), *metrics.extrapolated_distance(*sets))
        for _, sets in zip(range(60), normal_sets(200, 200, 6, 0.3))
    ]
    plain, extrapolated, errors = np.transpose(found)
    deviation = errors.mean() / np.sqrt(len(errors))
    assert plain.mean() - truth > 5 * deviation > 2 * abs(extrapolated.mean() - truth)
    assert np.mean(abs(extrapolated - truth) <= 2 * errors) >= 0.88
    assert np.mean(abs(plain - truth)) > np.mean(abs(extrapolated - truth))


@pytest.mark.parametrize(
    "metric",
    [
        metrics.kernel_distance,
        metrics.extrapolated_distance,
        metrics.precision_recall,
        metrics.density_coverage,
    ],
)
def test_metrics_refuse_what_cannot_be_compared(metric):
    good = np.zeros((20, 4))
    for bad in (np.zeros(20), good[:1], good[:, :2], np.full((20, 4), np.nan)):
        with pytest.raises(ValueError) as caught:
            metric(good, bad)
        assert "\n" not in str(caught.value)


def test_too_few_images():
    four = np.zeros((4, 2))
    with pytest.raises(ValueError, match="at least 6 images"):
        metrics.density_coverage(four, four)
    with pytest.raises(ValueError, match="at least 16 images"):
        metrics.extrapolated_distance(four, four)
    with pytest.raises(ValueError, match="at least four images"):
        metrics.standard_error(frechet_distance, four, four[:3])
    with pytest.raises(ValueError, match="cannot be compared"):
        metrics.class_divergence([1, 2], [1, 2, 3])


def float_(image):
    return np.asarray(image, np.float64)
