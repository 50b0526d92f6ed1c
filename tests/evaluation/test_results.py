"""The shipped tables of results, how they are read and drawn, and the harness of one of them."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import helpers
from helpers import distances_after, load_defects, load_trainings
from helpers.evaluation.results import PLANTED_DEFECTS
from helpers.machine import ASSETS
from tests.benchmarks import planted_defects as planted

LABELS = np.random.default_rng(0).integers(0, 5, 1200)
NAMES = {name: (f"the {name} space", name) for name in ("classifier", "pixels", "discriminator")}


@pytest.fixture
def axes(monkeypatch):
    """What is drawn instead of shown."""
    monkeypatch.setattr(plt, "show", lambda: None)
    plt.close("all")
    yield plt.gca
    plt.close("all")


# Planted defects: the table


def test_the_table_is_whole_and_of_what_is_shipped():
    """Every defect and size, every metric of every space, at every number of images, once."""
    table = pd.read_csv(PLANTED_DEFECTS, keep_default_na=False)
    keys = ["space", "metric", "images", "defect", "size"]
    sizes = {("none", "none"), *((each.name, each.size) for each in planted.DEFECTS)}
    assert set(zip(table["defect"], table["size"])) == sizes
    assert not table.duplicated(keys).any()
    groups = table[["space", "metric"]].drop_duplicates()
    assert len(groups) == 18 and len(table) == 18 * len(planted.DRAWS) * len(sizes)
    sha256 = dict(zip(table["space"], table["sha256"]))
    for space, file in (
        ("the shipped Fashion-MNIST classifier", "classifiers/fashion_mnist.keras"),
        ("the shipped discriminator", "trained/fashion_mnist-28/discriminator_trained.keras"),
    ):
        assert sha256[space] == helpers.sha256(ASSETS / file)[:12]


def test_what_the_table_says_of_the_gravest():
    for images in planted.DRAWS:
        table = load_defects("classifier", images)
        assert set(table["images"]) == {images} and len(set(table["space"])) == 3
        noticed = set(zip(*(table[table["noticed"]][each] for each in ("metric", "defect"))))
        assert ("Fréchet distance", "wrong value range") in noticed
        assert ("near copies", "training copies") in noticed
        assert not table["noticed"][table["size"] == "in 1%"].any()


def toy_defects(path):
    columns = "space,sha256,images,defect,size,metric,draws,power,false_alarms"
    rows = """
        class A,12e4,500,none,none,Fréchet distance,400,0.99,0.02
        class A,12e4,500,blur,1,Fréchet distance,100,0.94,0.02
        class A,12e4,500,blur,2,Fréchet distance,100,0.95,0.05
        pixels,,500,none,none,near copies,400,0.06,0.06
        pixels,,500,blur,1,near copies,100,1.0,0.06
        pixels,,500,blur,2,near copies,100,1.0,0.05
        class B,99,500,blur,2,Fréchet distance,100,0.5,0.02
        class A,12e4,2000,blur,2,Fréchet distance,100,1.0,0.02"""
    path.write_text("\n".join([columns, *map(str.strip, rows.split("\n")[1:])]), encoding="utf-8")
    return load_defects("A", 500, path)


def test_noticed_is_much_power_and_few_false_alarms(tmp_path):
    table = toy_defects(tmp_path / "defects.csv")
    assert table["noticed"].tolist() == [False, False, True, False, False, True]
    assert set(table["sha256"]) == {"12e4", ""} and set(table["space"]) == {"class A", "pixels"}
    for space, images in (("A", 7), ("class", 501), ("C", 500), ("pixel", 500)):
        with pytest.raises(ValueError, match=f"not known of {images} images in space '{space}'"):
            load_defects(space, images, tmp_path / "defects.csv")
    with pytest.raises(FileNotFoundError, match=r"nothing\.csv does not exist"):
        load_defects("A", 500, tmp_path / "nothing.csv")


def test_figure_of_defects(axes, tmp_path):
    helpers.plot_defects(toy_defects(tmp_path / "defects.csv"))
    dark = [text.get_text() for text in axes().texts if text.get_color() == "white"]
    assert dark == ["95", "100"] and len(axes().texts) == 6
    for text, cell in zip(axes().texts, axes().patches):
        assert (sum(cell.get_facecolor()[:3]) < 1) == (text.get_color() == "white")
    labels = [label.get_text() for label in axes().get_yticklabels()]
    assert labels == ["no defect", "blur   1", "2"]
    title = axes().figure.get_suptitle().replace("\n", " ")
    assert "features of class A." in title and "500 images each" in title and "100 draws" in title


# Planted defects: the harness


def test_classes_shrink_and_grow_and_one_image_is_repeated():
    touched = set()
    for seed, share in itertools.product(range(25), (0.25, 1)):
        places = np.random.default_rng(seed).permutation(len(LABELS))
        chosen, spare = places[:300], places[300:]
        before = np.bincount(LABELS[chosen], minlength=5)
        for choose, sign in ((planted.lose_class, -1), (planted.enlarge_class, 1)):
            after = choose(share)(np.random.default_rng(seed), LABELS, chosen, spare)
            assert len(after) == 300 == len(set(after))  # nothing twice
            change = sign * (np.bincount(LABELS[after], minlength=5) - before)
            (it,) = np.flatnonzero(change > 0)
            assert change[it] == round(share * before[it])
            touched.add((sign, it))
    assert len(touched) == 10  # every class has its turn
    after = planted.repeat_one(0.1)(None, LABELS, chosen, spare)
    assert (after[:30] == chosen[0]).all() and np.array_equal(after[30:], chosen[30:])


def test_draws_are_disjoint_and_altered_by_share():
    honest, other = ({"place": np.arange(1200) + offset} for offset in (0, 5000))
    for share, copies in ((0, False), (0.1, False), (1, False), (0.1, True), (1, True)):
        defect = planted.Defect("some", "size", copies=copies, share=share)
        random = np.random.default_rng(2)
        real, made = planted.draw(random, 200, LABELS, honest, defect, other)
        real, made = real["place"], made["place"]
        assert len(real) == len(made) == 200 == len(set(made))
        assert (made >= 5000).sum() == 200 * share
        assert copies or len({*real, *made % 5000}) == 400


def test_limits_leave_two_per_cent_outside():
    """On average over samples, of a fresh value; ties give no alarm."""
    random = np.random.default_rng(3)
    rates = [
        planted.alarms(random.random(400), *planted.limits(random.random(400))) for _ in range(300)
    ]
    assert np.mean(rates) == pytest.approx(8 / 401, rel=0.1)
    assert planted.alarms(np.array([9, 10, 10, 8, 11]), 9, 10) == pytest.approx(2 / 5)


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


def test_a_harmless_and_a_gross_defect(tmp_path):
    """False alarms are few, power is whole, and a second run measures only what is missing."""
    path, asked = tmp_path / "results.csv", []

    def run(*names):
        defects = [planted.Defect(name, "at all", alter=np.copy) for name in names]

        def altered_by(defect):
            asked.append(defect.name)
            return described(3 if defect.name == "gross" else 0)

        planted.run(
            LABELS, described(), altered_by, NAMES, path, defects, {100: 40}, honest_draws=100
        )
        return path.read_text(encoding="utf-8")

    first = run("harmless")
    assert run("harmless") == first and asked == ["harmless"]
    assert run("harmless", "gross").startswith(first) and asked == ["harmless", "gross"]
    table = pd.read_csv(path).set_index(["defect", "metric"])["power"]
    assert table["none"].mean() < 0.06 and table["harmless"].mean() < 0.06
    assert (table["gross"][["Fréchet distance", "kernel distance", "coverage"]] == 1).all()
    assert table["gross"]["class divergence"] < 0.2 and table["gross"]["memorisation"] < 0.2
    path.write_text(first.replace(",classifier,", ",other,"), encoding="utf-8")
    with pytest.raises(SystemExit, match="of other weights; delete it"):
        run("gross")


# Recipes


def toy_trainings():
    rows = [("a", 0, 10, 200), ("a", 0, 100, 20), ("a", 1, 50, 7), ("b", 0, 60, 6)]
    table = pd.DataFrame(rows, columns=["recipe", "seed", "images_seen", "distance"])
    return table.assign(processor="fast", precision="float32", seconds=table["images_seen"] / 10)


def test_a_distance_lies_on_the_line_between_two_measurements():
    # Ten times the images brought a tenth of the distance, so distance times images is 2,000.
    np.testing.assert_allclose(distances_after(toy_trainings(), "a", 40), [50])
    np.testing.assert_allclose(distances_after(toy_trainings(), "a", 50), [40, 7])
    np.testing.assert_allclose(distances_after(toy_trainings(), "a", 4, of="seconds"), [50])
    slower = toy_trainings().assign(processor="slow")
    rounded = toy_trainings().assign(precision="mixed_bfloat16")
    several = pd.concat([toy_trainings(), slower, rounded])
    np.testing.assert_allclose(distances_after(several, "a", 40), [50, 50, 50])
    assert not len(distances_after(toy_trainings(), "a", 9))
    assert not len(distances_after(toy_trainings(), "a", 101))


def test_the_trainings_of_a_data_set_are_in_time_and_in_one_space():
    classifier = helpers.sha256(ASSETS / "classifiers" / "fashion_mnist.keras")
    for dataset in ("fashion_mnist", "emoji"):
        table = load_trainings(dataset)
        assert set(table["dataset"]) == {dataset} and len(set(table["space"])) == 1
        for _, rows in table.groupby(["recipe", "seed", "precision", "processor"]):
            assert rows["images_seen"].is_monotonic_increasing
            assert rows["seconds"].is_monotonic_increasing and (rows["distance"] > 0).all()
    assert set(load_trainings()["space"]) == {classifier}


def test_a_recipe_has_one_colour_and_one_name(axes):
    helpers.plot_trainings(toy_trainings(), ["a", "b"], "a title")
    colours = [line.get_color() for line in axes().lines]
    assert len(colours) == 3 and colours[0] == colours[1] != colours[2]
    assert [text.get_text() for text in axes().get_legend().get_texts()] == ["a", "b"]
    (long,) = [line for line in axes().lines if len(line.get_xdata()) == 2]
    np.testing.assert_allclose(long.get_xydata(), [[0.01, 200], [0.1, 20]])
