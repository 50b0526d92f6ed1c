"""Distances between sets of images, against closed forms and plain formulas."""

import numpy as np
import pytest

from helpers import frechet_distance, gaussian_distance, metrics, nearest_distances


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


def float_(image):
    return np.asarray(image, np.float64)
