"""Numbers of sets of images, against closed forms, plain formulas and other packages."""

import json

import numpy as np
import pytest

from helpers import frechet_distance, gaussian_distance, nearest_distances
from helpers.evaluation import metrics
from tests.references.make_metrics import NEIGHBOURS, VALUES, cases

CASES = cases()
REFERENCES = json.loads(VALUES.read_text(encoding="utf-8"))


# Fréchet distance


def test_one_dimension():
    """Of N(0, 1) and N(m, s^2): m^2 + (s - 1)^2."""
    for mean, deviation, distance in ((3, 2, 10), (0, 1, 0), (-3, 2, 10), (0, 5, 16), (0, 0, 1)):
        found = gaussian_distance([0], [[1]], [mean], [[deviation**2]])
        assert found == pytest.approx(distance)


@pytest.mark.parametrize(("rank_a", "rank_b"), [(6, 6), (2, 6), (2, 3)])
def test_agrees_with_the_textbook(rank_a, rank_b):
    """There, tr (C_a C_b)^(1/2) comes from the eigenvalues of the product."""
    random = np.random.default_rng(1)
    mean_a, mean_b = random.normal(size=(2, 6))
    a, b = (random.normal(size=(6, rank)) for rank in (rank_a, rank_b))
    a, b = a @ a.T, b @ b.T
    cross = np.sqrt(np.clip(np.linalg.eigvals(a @ b).real, 0, None)).sum()
    expected = np.sum((mean_a - mean_b) ** 2) + np.trace(a + b) - 2 * cross
    assert gaussian_distance(mean_a, a, mean_b, b) == pytest.approx(expected, rel=1e-5)
    assert gaussian_distance(mean_b, b, mean_a, a) == pytest.approx(expected, rel=1e-5)
    assert 0 <= gaussian_distance(mean_a, a, mean_a, a) < 1e-6


def test_frechet_of_a_shift_and_of_lost_diversity():
    """A collapsed generator with the right mean does not score zero."""
    features = np.random.default_rng(5).normal(size=(40, 8))
    shift = np.arange(8)
    assert frechet_distance(features, features + shift) == pytest.approx(np.sum(shift**2))
    features -= features.mean(axis=0)
    spread = np.sum(features**2) / 39
    assert frechet_distance(features, features / 2) == pytest.approx(spread / 4)


def test_extrapolation_is_nearer_the_truth():
    truth, plain, extrapolated = 6 * 0.3**2, [], []
    for a, b in normal_sets(60, 200, 200, 6, 0.3):
        plain.append(frechet_distance(a, b))
        extrapolated.append(metrics.extrapolated_distance(a, b))
    assert np.mean(plain) - truth > 0.05 > abs(np.mean(extrapolated) - truth) + 0.02


# Against other packages


@pytest.mark.parametrize("name", CASES)
def test_equal_to_torch_fidelity_and_prdc(name):
    real, generated = CASES[name]
    reference = REFERENCES[name]
    distance = frechet_distance(real, generated)
    assert distance == pytest.approx(reference["frechet"], rel=1e-6, abs=1e-9)
    size = min(len(real), len(generated))
    distance = metrics.kernel_distance(real[:size], generated[:size])
    assert distance == pytest.approx(reference["kernel"], rel=1e-6)
    for k in NEIGHBOURS:
        expected = reference["neighbours"][str(k)]
        found = metrics.precision_recall(real, generated, k)
        assert found == pytest.approx((expected["precision"], expected["recall"]))
        found = metrics.density_coverage(real, generated, k)
        assert found == pytest.approx((expected["density"], expected["coverage"]))


# Kernel distance, and balls


def test_kernel_distance_of_unequal_counts():
    """The definition: means of the kernel over all pairs of different images."""
    random = np.random.default_rng(9)
    a, b = random.normal(size=(230, 5)), random.normal(0.5, 1, size=(30, 5))
    aa, bb, ab = ((x @ y.T / 5 + 1) ** 3 for x, y in ((a, a), (b, b), (a, b)))
    within = [k[~np.eye(len(k), dtype=bool)].mean() for k in (aa, bb)]
    expected = sum(within) - 2 * ab.mean()
    assert metrics.kernel_distance(a, b) == pytest.approx(expected, rel=1e-9)
    assert metrics.kernel_distance(b, a) == pytest.approx(expected, rel=1e-9)


def test_kernel_distance_of_a_shift():
    """In one dimension, of N(0, 1) and N(m, 1), by the moments of both; 0 on average for m = 0."""
    for shift in (0, 0.5):
        first, second, third = shift, shift**2, shift**3 + 3 * shift  # differences of moments
        truth = 3 * first**2 + 3 * second**2 + third**2  # (xy + 1)^3 = 1 + 3xy + 3(xy)^2 + (xy)^3
        values = [metrics.kernel_distance(*s) for s in normal_sets(200, 150, 100, 1, shift)]
        assert abs(np.mean(values) - truth) < 3 * np.std(values) / np.sqrt(len(values))


def test_balls_by_hand():
    """Reals at 0, 1, 3: radii 1, 1, 2. An edge is outside, a copy inside."""
    real, generated = np.array([[0.0], [1], [3]]), np.array([[1.5], [5], [3], [9]])
    assert metrics.precision_recall(real, generated, k=1) == pytest.approx((2 / 4, 2 / 3))
    assert metrics.density_coverage(real, generated, k=1) == pytest.approx((3 / 4, 2 / 3))


def test_density_and_coverage_of_one_distribution():
    """A ball is empty where the k nearest of all others are real; density is 1 on average."""
    n, m, k = 60, 20, 3
    i = np.arange(k)
    covered = 1 - np.prod((n - 1 - i) / (n + m - 1 - i))
    values = [metrics.density_coverage(*sets, k) for sets in normal_sets(300, n, m, 3)]
    deviation = np.std(values, axis=0) / np.sqrt(300)
    assert (abs(np.mean(values, axis=0) - (1, covered)) < 3.5 * deviation).all()


def test_equal_images_are_at_distance_zero():
    """A generator that repeats one image has balls of no size, whatever rounding says."""
    real = np.random.default_rng(11).normal(3, 1, (450, 64)).astype(np.float32)
    one = real[np.zeros(450, int)]
    assert metrics.precision_recall(real, one) == (1, 0)
    assert metrics.density_coverage(one, real) == (0, 0)


# Classes


def test_class_counts_take_the_most_probable():
    probabilities = np.array([[0.2, 0.7, 0.1], [0.9, 0.05, 0.05], [0.3, 0.4, 0.3]])
    assert metrics.class_counts(probabilities).tolist() == [1, 2, 0]


def test_class_divergence():
    assert metrics.class_divergence([30, 20], [30, 20]) == 0
    one, other = np.array([0.6, 0.4]), np.array([0.2, 0.8])
    expected = np.sum(other * np.log(other / one))  # of the second from the first
    assert metrics.class_divergence(one * 1e7, other * 1e7) == pytest.approx(expected, rel=1e-5)
    half_added = np.log(9.5 / 0.5) * (9.5 - 0.5) / 10
    assert metrics.class_divergence([0, 9], [9, 0]) == pytest.approx(half_added)


def test_classes_covered():
    assert metrics.classes_covered([100, 100, 100, 0], [280, 10, 9, 1]) == 2
    assert metrics.classes_covered([100, 100], [9, 1]) == 2
    assert metrics.classes_covered([7, 7, 7], [1, 1, 1]) == 3


# Copies


@pytest.mark.parametrize("block", [7, 500])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_nearest_against_brute_force(kind, block, tmp_path):
    random = np.random.default_rng(7)
    references = random.integers(0, 256, (60, 7, 7, 1))
    queries = random.integers(0, 256, (23, 7, 7, 1))
    queries[5], queries[22] = references[41], references[0]  # planted copies
    references[50] = references[41]  # the first of equals is the answer
    queries[9] = references[13]
    queries[9, 0, 0, 0] = (queries[9, 0, 0, 0] + 128) % 256  # and a near one
    if kind is np.float32:
        queries, references = queries / 127.5 - 1, references / 127.5 - 1
    np.save(tmp_path / "references.npy", references.astype(kind))
    mapped = np.load(tmp_path / "references.npy", mmap_mode="r")
    distances, indices = nearest_distances(queries.astype(kind), mapped, block)
    unit = 255 if kind is np.uint8 else 1  # bytes are read as [0, 1]
    gaps = (queries[:, None] - references) / unit
    every = np.linalg.norm(gaps.reshape(23, 60, -1), axis=2)
    np.testing.assert_array_equal(indices, every.argmin(axis=1))
    np.testing.assert_allclose(distances, every.min(axis=1), rtol=1e-5, atol=1e-6)
    assert distances[5] == distances[22] == 0 and distances.dtype == np.float32


def test_nearer_probability():
    """Against all pairs, with equal ones; 1 where the first are all nearer."""
    random = np.random.default_rng(13)
    a, b = random.integers(0, 9, 30), random.integers(2, 11, 40)
    pairs = (a[:, None] < b) + 0.5 * (a[:, None] == b)
    assert metrics.nearer_probability(a, b) == pytest.approx(pairs.mean())
    assert metrics.nearer_probability([0.0, 1], [2.0, 3, 4]) == 1


def test_near_copies_by_hand():
    """The limit lies at rank (m + 1) / 200: the second of 399, halfway to it of 299."""
    generated = [0.5, 1, 1.5, 2, 9]
    assert metrics.near_copies(generated, np.arange(399, 0, -1)) == pytest.approx(3.5 / 5)
    assert metrics.near_copies(generated, np.arange(1, 300)) == pytest.approx(2.5 / 5)
    assert metrics.near_copies(generated, [3.0, 1, 2]) == pytest.approx(1.5 / 5)  # the nearest


def test_near_copies_of_an_honest_generator_are_one_in_200():
    random = np.random.default_rng(15)
    for n, m in ((500, 500), (300, 1000), (400, 199)):
        draws = [metrics.near_copies(random.random(n), random.random(m)) for _ in range(1500)]
        assert abs(np.mean(draws) - 0.005) < 3.5 * np.std(draws) / np.sqrt(len(draws))


# Standard error


def normal_sets(draws, n, m, d, shift=0.0, scale=1.0):
    """So many times two sets of features, of N(0, 1) and N(shift, scale^2)."""
    for seed in range(draws):
        random = np.random.default_rng(seed)
        yield random.normal(size=(n, d)), random.normal(shift, scale, (m, d))


def test_standard_error_of_a_mean_and_of_a_difference():
    images, others = np.random.default_rng(14).normal(0, (1, 3, 9), size=(2, 1000, 3))
    error = metrics.standard_error(lambda x: x.mean(axis=0), images, splits=500)
    assert error == pytest.approx(images.std(axis=0) / np.sqrt(1000), rel=0.15)
    again = metrics.standard_error(lambda x: x.mean(axis=0), images, splits=500)
    np.testing.assert_array_equal(error, again)
    difference = lambda x, y: x[:, 1].mean() - y[:, 1].mean()  # noqa: E731
    error = metrics.standard_error(difference, images, others[:250], splits=500)
    assert error == pytest.approx(3 * np.sqrt(1 / 1000 + 1 / 250), rel=0.15)


@pytest.mark.parametrize(
    ("metric", "n", "d", "shift", "ratio"),
    [
        (frechet_distance, 240, 6, 0.4, 1),
        (metrics.kernel_distance, 240, 6, 0.4, 1),
        (metrics.kernel_distance, 240, 6, 0, 1.41),  # of one distribution, as the docstring says
        (metrics.precision_recall, 240, 6, 0.5, 1),
        (metrics.density_coverage, 240, 6, 0.5, 1),
        (metrics.nearer_probability, 240, 1, 0.3, 1),
        (metrics.near_copies, 1200, 1, -0.7, 1),
    ],
)
def test_standard_error_is_the_deviation_over_many_draws(metric, n, d, shift, ratio):
    """To a third, for every metric; the docstring says where it is not."""
    sets = [(a, b) if d > 1 else (b[:, 0], a[:, 0]) for a, b in normal_sets(80, n, n, d, shift)]
    values = np.array([metric(*each) for each in sets])
    errors = np.array([metrics.standard_error(metric, *each, splits=8) for each in sets])
    found = np.sqrt(np.mean(errors**2, axis=0)) / values.std(axis=0)
    assert found == pytest.approx(np.full(found.shape, ratio), rel=0.33)


# What is refused

TWENTY = np.zeros((20, 4))


def test_features_without_a_distance_are_refused_in_a_sentence():
    shape = "needed is (images, features) with at least 2 images."
    for sets, sentence in (
        ((TWENTY[:1], TWENTY), f"Features have shape (1, 4); {shape}"),
        ((TWENTY, TWENTY[0]), f"Features have shape (4,); {shape}"),
        (
            (TWENTY, TWENTY[:, :3]),
            "Features of 4 and 3 dimensions cannot be compared; compute both with the same "
            "network.",
        ),
        (
            (TWENTY, TWENTY * np.nan),
            "Features hold NaN or infinity; look at the images that gave them.",
        ),
    ):
        for metric in (frechet_distance, metrics.kernel_distance):
            with pytest.raises(ValueError) as caught:
                metric(*sets)
            assert str(caught.value) == sentence


def test_too_few_images_are_refused():
    for action, least in (
        (lambda: metrics.precision_recall(TWENTY, TWENTY[:3]), "at least 4 images"),
        (lambda: metrics.density_coverage(TWENTY[:5], TWENTY), "at least 6 images"),
        (lambda: metrics.extrapolated_distance(TWENTY[:7], TWENTY), "at least 8 images"),
        (lambda: metrics.standard_error(np.mean, TWENTY, TWENTY[:3]), "at least four images"),
        (lambda: metrics.class_divergence([1, 2], [1, 2, 3]), "cannot be compared"),
        (lambda: nearest_distances(TWENTY, TWENTY[:0]), "cannot be compared"),
        (lambda: nearest_distances(TWENTY, TWENTY[:, :3]), "cannot be compared"),
    ):
        with pytest.raises(ValueError, match=least) as caught:
            action()
        assert "\n" not in str(caught.value)
