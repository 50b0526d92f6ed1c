"""Planted defects: what is planted, the harness that judges metrics by them, and its table."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pytest
from benchmarks import planted_defects as planted
from matplotlib.colors import to_rgb

from helpers import defects, load_source

CLASSIFIER = ("Fréchet distance", "kernel distance", "precision", "recall", "density", "coverage")
LABELS = np.random.default_rng(0).integers(0, 5, 1200)
NAMES = {name: (f"the {name} space", name) for name in ("classifier", "pixels", "discriminator")}
GRAY = np.full((40, 12, 14, 1), 128, np.uint8)


def described(shift=0.0):
    """A toy description: features follow the label."""
    random = np.random.default_rng(1)
    features = random.normal(shift, 1, (len(LABELS), 3))
    features[:, 0] += 3 * LABELS
    return {
        "classifier": features,
        "probabilities": np.eye(5)[LABELS],
        "nearest": random.exponential(size=len(LABELS)),
        "refused": random.random(len(LABELS)) < 0.5,
    }


@pytest.fixture
def figure(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: None)
    plt.close("all")
    yield plt.gcf
    plt.close("all")


# What is planted


def test_altered_images_are_images():
    images = load_source("fashion_mnist", whole=False)[0]["test_images"][:20]
    before = images.copy()
    for defect in planted.DEFECTS:
        if defect.alter:
            altered = defect.alter(images)
            assert altered.dtype == np.uint8 and altered.shape == images.shape
            assert (altered != images).any() and np.array_equal(images, before)


def test_blur_is_gaussian_along_both_axes():
    """The slope of a blurred edge has the blur's variance."""
    edge = np.zeros((1, 31, 31, 1), np.uint8)
    edge[:, :, 16:] = 255
    places = np.arange(30) - 15
    for sigma, image in itertools.product((1, 2), (edge, edge.transpose(0, 2, 1, 3))):
        blurred = planted.blur(image, sigma)[0, :, :, 0].astype(int)
        profile = blurred[15] if image is edge else blurred[:, 15]
        slope = np.diff(profile)
        assert slope.sum() == 255
        assert np.sum(slope * places**2) / 255 == pytest.approx(sigma**2, rel=0.05)
    assert np.array_equal(planted.blur(GRAY, 1), GRAY)  # the border, too


def test_noise_has_its_deviation():
    noise = planted.add_noise(GRAY, 0.1).astype(float) - 128
    assert noise.std() == pytest.approx(25.5, rel=0.03) and abs(noise.mean()) < 1
    assert np.array_equal(planted.add_noise(GRAY, 0.1), planted.add_noise(GRAY, 0.1))
    assert planted.add_noise(GRAY // 128 * 255, 0.1).min() > 100  # clipped, not wrapped


def test_squeezed_inverted_shifted():
    ramp = np.tile(np.arange(256, dtype=np.uint8)[None, None, :, None], (1, 3, 1, 1))
    squeezed = planted.squeeze(ramp, 64, 191)[0, 0, :, 0]
    assert (squeezed[0], squeezed[255]) == (64, 191) and (np.diff(np.int64(squeezed)) >= 0).all()
    assert planted.invert(ramp)[0, 0, :, 0].tolist() == list(range(255, -1, -1))
    shifted = planted.shift(ramp + 1 - (ramp == 255), 2)[0, 0, :, 0]
    assert shifted[:4].tolist() == [0, 0, 1, 2]


def test_checkerboard_alternates():
    pattern = planted.add_checkerboard(GRAY, 0.1)[0, :, :, 0].astype(int) - 128
    assert set(np.abs(pattern).ravel()) <= {25, 26}
    assert (pattern[1:] * pattern[:-1] < 0).all() and (pattern[:, 1:] * pattern[:, :-1] < 0).all()


def choice(choose, seed):
    places = np.random.default_rng(seed).permutation(len(LABELS))
    chosen, spare = places[:300], places[300:]
    after = choose(np.random.default_rng(seed), LABELS, chosen, spare)
    counts = [np.bincount(LABELS[each], minlength=5) for each in (chosen, after)]
    return chosen, after, *counts


@pytest.mark.parametrize("share", [0.25, 1])
def test_classes_shrink_and_grow(share):
    touched = set()
    for seed in range(25):
        for choose, sign in ((planted.lose_class, -1), (planted.enlarge_class, 1)):
            _, after, before, now = choice(choose(share), seed)
            assert len(after) == 300 == len(set(after))  # nothing twice
            change = sign * (now - before)
            (it,) = np.flatnonzero(change > 0)
            assert change[it] == round(share * before[it])
            touched.add((sign, it))
    assert len(touched) == 10  # every class has its turn


def test_one_image_is_repeated():
    chosen, after, *_ = choice(planted.repeat_one(0.1), 0)
    assert (after[:30] == chosen[0]).all() and np.array_equal(after[30:], chosen[30:])


def test_draws_are_disjoint_and_altered_by_share():
    honest, other = ({"place": np.arange(1200) + offset} for offset in (0, 5000))
    for share, copies in ((0, False), (0.1, False), (1, False), (0.1, True), (1, True)):
        defect = planted.Defect("some", "size", copies=copies, share=share)
        random = np.random.default_rng(2)
        real, made = planted.draw(random, 200, LABELS, honest, defect, other)
        real, made = real["place"], made["place"]
        assert len(real) == len(made) == 200 and len(np.unique(np.r_[real, made % 5000])) >= 360
        assert (made >= 5000).sum() == 200 * share and len(set(made)) == 200
        assert copies or len({*real, *made % 5000}) == 400
    first, second = (planted.draw(np.random.default_rng(2), 200, LABELS, honest) for _ in "ab")
    assert all(np.array_equal(a["place"], b["place"]) for a, b in zip(first, second))


# The harness


def test_limits_leave_two_per_cent_outside():
    """On average over samples, of a fresh value."""
    random = np.random.default_rng(3)
    rates = [
        planted.alarms(random.random(400), *planted.limits(random.random(400))) for _ in range(300)
    ]
    assert np.mean(rates) == pytest.approx(8 / 401, rel=0.1)
    assert planted.limits(np.r_[[9.0] * 5, [10.0] * 395]) == (9, 10)


def test_ties_give_no_alarm():
    assert planted.alarms(np.array([9, 10, 10, 8, 11]), 9, 10) == pytest.approx(2 / 5)


def test_a_harmless_and_a_gross_defect(tmp_path):
    """False alarms are few, power is whole, and a second run measures only what is missing."""
    harmless = planted.Defect("nothing", "at all", alter=lambda images: images)
    gross = planted.Defect("shift", "of 3", alter=lambda images: images)
    asked = []

    def altered_by(defect):
        asked.append(defect.name)
        return described(3 if defect is gross else 0)

    def run(*chosen):
        planted.run(
            LABELS, described(), altered_by, NAMES, path, chosen, {100: 60}, honest_draws=200
        )
        return defects.load_defects(path=path)

    path = tmp_path / "results.csv"
    first = run(harmless)
    rates = [row["power"] for row in first]
    assert np.mean(rates) < 0.05 and max(rates) < 0.15
    assert all(row["false_alarms"] == row["power"] for row in first if row["defect"] == "none")
    stamp = path.read_text(encoding="utf-8")
    assert run(harmless) == first and asked == ["nothing"]
    assert path.read_text(encoding="utf-8") == stamp
    rows = run(harmless, gross)
    assert asked == ["nothing", "shift"] and rows[: len(first)] == first
    assert path.read_text(encoding="utf-8").startswith(stamp)
    power = {row["metric"]: row["power"] for row in rows if row["defect"] == "shift"}
    assert all(power[metric] == 1 for metric in CLASSIFIER if metric != "density")
    assert power["class divergence"] < 0.2 and power["memorisation"] < 0.2

    path.write_text(stamp.replace(",classifier,", ",other,"), encoding="utf-8")
    with pytest.raises(SystemExit, match="of other weights; delete it"):
        run(gross)


def test_the_full_set_is_needed(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["planted_defects"])
    arrays = load_source("fashion_mnist", whole=False)
    monkeypatch.setattr(planted, "load_source", lambda dataset, whole: arrays)
    with pytest.raises(SystemExit, match="set TFDS_DATA_DIR"):
        planted.main()


# The table


@pytest.fixture(scope="module")
def table():
    return defects.load_defects()


def test_the_table_is_whole(table):
    """Every defect and size, every metric of every space, at every number of images, once."""
    of_space = {
        "the shipped Fashion-MNIST classifier": (
            *CLASSIFIER, "class divergence", "classes covered", "confidence"
        ),
        "random convolutions, no labels": CLASSIFIER,
        "pixels": ("memorisation", "near copies"),
        "the shipped discriminator": ("discriminator",),
    }  # fmt: skip
    sizes = [(defect.name, defect.size) for defect in planted.DEFECTS]
    expected = [
        (space, metric, images, *size)
        for space, metrics in of_space.items()
        for metric, images, size in itertools.product(
            metrics, planted.DRAWS, [("none", "none"), *sizes]
        )
    ]
    keys = ("space", "metric", "images", "defect", "size")
    assert sorted(tuple(row[key] for key in keys) for row in table) == sorted(expected)
    assert defects.PLANTED_DEFECTS.stat().st_size < 200_000


def test_the_table_agrees_with_itself(table):
    honest = {}
    for row in table:
        assert 0 <= row["power"] <= 1 and row["low"] <= row["high"] and row["seed"] == planted.SEED
        alarms = row["power"] * row["draws"]
        assert row["draws"] >= 100 and alarms == pytest.approx(round(alarms))
        if row["defect"] == "none":
            assert row["draws"] == planted.HONEST_DRAWS and row["power"] == row["false_alarms"]
            assert row["low"] <= row["median"] <= row["high"]
        key = row["space"], row["metric"], row["images"]
        limits = [row[name] for name in ("sha256", "false_alarms", "low", "high")]
        assert honest.setdefault(key, limits) == limits
        if not row["low"] <= row["median"] <= row["high"]:
            assert row["power"] >= 0.5  # the reverse need not hold: alarms come on either side


def test_the_table_is_of_what_is_shipped(table):
    of = {row["space"]: row["sha256"] for row in table}
    classifiers = planted.ASSETS / "classifiers" / "fashion_mnist.keras"
    discriminator = planted.ASSETS / "trained" / "fashion_mnist-28" / "discriminator_trained.keras"
    assert of["the shipped Fashion-MNIST classifier"] == planted.sha256(classifiers)[:12]
    assert of["the shipped discriminator"] == planted.sha256(discriminator)[:12]


def test_what_the_table_says_of_the_gravest(table):
    for images in planted.DRAWS:
        rows = defects.load_defects("classifier", images)
        found = defects.smallest_noticed(rows)
        assert "Fréchet distance" in found["wrong value range"]
        assert "near copies" in found["training copies"]
        assert ("one image repeated", "in 1%") in defects.unnoticed(rows)


def toy_rows():
    def row(space, defect, size, metric, power, false_alarms=0.02):
        return {
            "space": space, "images": 500, "defect": defect, "size": size, "metric": metric,
            "draws": 100, "power": power, "false_alarms": false_alarms,
        }  # fmt: skip

    return [
        row("A", "none", "none", "Fréchet distance", 0.02),
        row("A", "blur", "1", "Fréchet distance", 0.94),
        row("A", "blur", "2", "Fréchet distance", 0.95),
        row("A", "blur", "3", "Fréchet distance", 1.0),
        row("pixels", "blur", "1", "near copies", 0.0),
        row("pixels", "blur", "2", "near copies", 1.0, 0.06),
        row("pixels", "blur", "3", "near copies", 1.0),
        row("A", "noise", "1", "Fréchet distance", 0.0),
        row("pixels", "noise", "1", "near copies", 0.5),
    ]


def test_what_is_noticed():
    rows = toy_rows()
    assert defects.smallest_noticed(rows) == {
        "blur": {"Fréchet distance": "2", "near copies": "3"},
        "noise": {},
    }
    assert defects.unnoticed(rows) == [("blur", "1"), ("noise", "1")]


def test_figure_of_defects(figure):
    defects.plot_defects(toy_rows())
    axes = figure().axes[0]
    assert figure().get_size_inches()[0] == 9 and to_rgb(figure().get_facecolor()) == (1, 1, 1)
    dark = [text.get_text() for text in axes.texts if text.get_color() == "white"]
    assert dark == ["95", "100", "100"] and len(axes.texts) == 9
    for text, cell in zip(axes.texts, axes.patches):
        assert (sum(cell.get_facecolor()[:3]) < 1) == (text.get_color() == "white")
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        "Fréchet distance",
        "near copies",
    ]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["no defect", "blur   1", "2", "3", "noise   1"]
    title = figure().get_suptitle().replace("\n", " ")
    assert "features of A." in title and "500 images each" in title and "100 draws" in title


def test_spaces_do_not_share_a_figure():
    rows = toy_rows()
    with pytest.raises(ValueError, match="one feature space"):
        defects.plot_defects([*rows, {**rows[1], "space": "B"}])
    with pytest.raises(ValueError, match="one feature space"):
        defects.plot_defects([*rows, {**rows[1], "images": 2000}])


def test_unknown_rows_are_refused():
    with pytest.raises(ValueError, match="not known of 7 images"):
        defects.load_defects("classifier", 7)
    with pytest.raises(ValueError, match="space 'inception'"):
        defects.load_defects("inception")
