"""All numbers at once: which there are, what they belong to, and how they are printed."""

import re

import numpy as np
import pytest

import helpers
from helpers.evaluation import metrics
from helpers.evaluation.features import FeatureSpace
from helpers.evaluation.scores import TITLES

SEED = 3


def means(images):
    """Four features: the means of the quarters of an image."""
    return np.reshape(images, (-1, 2, 4, 2, 4)).mean(axis=(2, 4)).reshape(-1, 4) / 25.5


def with_classes(images):
    bright = means(images).mean(axis=1) > 5
    return means(images), np.stack([0.1 + 0.8 * bright, 0.9 - 0.8 * bright], axis=1)


CLASSES = FeatureSpace("two classes", "ab" * 32, ("bright", "dark"), with_classes)
PLAIN = FeatureSpace("means", "cd" * 32, None, lambda images: (means(images), None))


@pytest.fixture(scope="module")
def images():
    """Held-out, generated (brighter) and training images of eight pixels a side."""
    random = np.random.default_rng(0)
    held_out, generated, train = random.integers(0, 200, (3, 80, 8, 8, 1), np.uint8)
    return held_out, generated + np.uint8(40), train


@pytest.fixture(scope="module")
def scored(images):
    held_out, generated, train = images
    sets = {"mine": generated, "thief": train}
    return helpers.score(sets, CLASSES, held_out, train, SEED)


def test_every_number_is_there_with_its_error_and_circumstances(scored):
    for found in scored.values():
        assert list(found) == list(TITLES)
        for metric, record in found.items():
            pixels = metric in ("memorisation", "near_copies")
            assert record["space"]["name"] == ("pixels" if pixels else "two classes")
            assert (record["real"], record["generated"], record["seed"]) == (80, 80, SEED)
            assert record["standard_error"] >= 0
    positive = {metric for metric, r in scored["mine"].items() if r["standard_error"] > 0}
    assert TITLES.keys() - positive <= {"classes_covered", "confidence", "near_copies"}


def test_the_numbers_are_those_of_the_metrics(scored, images):
    (real, real_p), (generated, p) = with_classes(images[0]), with_classes(images[1])
    counts = metrics.class_counts(real_p), metrics.class_counts(p)
    nearest, honest = (metrics.nearest_distances(each, images[2])[0] for each in images[1::-1])
    expected = {
        "frechet": metrics.frechet_distance(real, generated),
        "frechet_at_infinity": metrics.extrapolated_distance(real, generated, SEED),
        "kernel": metrics.kernel_distance(real, generated),
        **dict(zip(("precision", "recall"), metrics.precision_recall(real, generated))),
        **dict(zip(("density", "coverage"), metrics.density_coverage(real, generated))),
        "class_divergence": metrics.class_divergence(*counts),
        "classes_covered": metrics.classes_covered(*counts),
        "confidence": 0.9,
        "memorisation": metrics.nearer_probability(nearest, honest),
        "near_copies": metrics.near_copies(nearest, honest),
    }
    found = {metric: record["value"] for metric, record in scored["mine"].items()}
    assert found == pytest.approx(expected)


def test_the_errors_are_those_of_standard_error(scored, images):
    real, generated = means(images[0]), means(images[1])
    nearest, honest = (metrics.nearest_distances(each, images[2])[0] for each in images[1::-1])
    for metric, statistic, sets, splits in (
        ("frechet", metrics.frechet_distance, (real, generated), 100),
        ("kernel", metrics.kernel_distance, (real, generated), 40),
        ("memorisation", metrics.nearer_probability, (nearest, honest), 100),
    ):
        error = metrics.standard_error(statistic, *sets, splits=splits, seed=SEED)
        assert scored["mine"][metric]["standard_error"] == pytest.approx(error)


def test_a_thief_shows_in_the_numbers_of_copies_alone(scored):
    thief = scored["thief"]
    assert thief["near_copies"]["value"] == thief["memorisation"]["value"] == 1
    assert abs(thief["frechet"]["value"]) < scored["mine"]["frechet"]["value"] / 5


def test_without_classes_and_with_few_images_numbers_are_left_out(images, capsys):
    held_out, generated, train = images
    few = helpers.score({"mine": generated[:30]}, PLAIN, held_out[:30], train)["mine"]
    left_out = {"frechet_at_infinity", "class_divergence", "classes_covered", "confidence"}
    assert TITLES.keys() - few.keys() == left_out
    capsys.readouterr()
    helpers.print_scores({"mine": few})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(few)
    fewer = helpers.score({"mine": generated[:6]}, PLAIN, held_out[:6], train)["mine"]
    assert list(fewer) == ["frechet", "kernel", "memorisation", "near_copies"]


def test_the_table_has_a_column_for_each_set(scored, capsys):
    helpers.print_scores(scored)
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["mine", "thief", "wanted"]
    assert len({len(line) for line in (head, *lines)}) == 1
    values = [re.findall(r"-?[\d.]+", line) for line in lines]
    frechet = scored["mine"]["frechet"]
    assert float(values[0][0]) == pytest.approx(frechet["value"], rel=0.2)
    assert float(values[0][1]) == pytest.approx(2 * frechet["standard_error"], rel=0.2)
    assert lines[-2].split()[-4:] == [
        "1",
        "at",
        "most",
        "0.5",
    ]  # an error of nothing is not printed


def test_unequal_numbers_are_refused(images):
    held_out, generated, train = images
    with pytest.raises(ValueError, match="79 images of 'mine' and 80 held-out"):
        helpers.score({"mine": generated[1:]}, PLAIN, held_out, train)
    with pytest.raises(ValueError, match="at least 6"):
        helpers.score({"mine": generated[:5]}, PLAIN, held_out[:5], train)
