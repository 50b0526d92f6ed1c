"""What the numbers say when a training has gone wrong, and the curves of one that is over."""

import matplotlib.pyplot as plt
import pytest

import helpers
from helpers.files import save_json, save_table
from helpers.plots import use_course_style
from helpers.training.history import best_epoch, diagnose

GOOD = {"real_accuracy": 0.9, "generated_accuracy": 1.0, "pixel_std": 0.8}
GOOD |= {"discriminator_loss": 0.5, "generator_loss": 2.0, "gradient_norm": 5.0}
WON = GOOD | {"real_accuracy": 1.0, "gradient_norm": 0.013}
PERFECT = GOOD | {"real_accuracy": 1.0, "generator_loss": 6.4, "gradient_norm": 60.0}
COLLAPSED = GOOD | {"pixel_std": 0.001}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], ""),
        ([GOOD, WON, WON], ""),
        ([WON, WON, GOOD], ""),
        ([GOOD, WON, WON, WON], "The discriminator has won: .* (gradient 0.013, loss 2.0)"),
        ([PERFECT | {"generator_loss": 9.8}] * 3, "has won: .* (gradient 60.000, loss 9.8)"),
        ([COLLAPSED] * 3, "The generator has collapsed: .* 0.1%"),
        ([WON, WON, COLLAPSED], "has collapsed"),
        # A perfect discriminator from which the generator still learns, as early in a training.
        ([PERFECT] * 9, ""),
        # A small gradient where the discriminator is unsure: near the end of a good training.
        ([GOOD | {"gradient_norm": 0.01}] * 9, ""),
    ],
)
def test_diagnosis(rows, words):
    found = diagnose(rows)
    assert bool(found) == bool(words)
    if words:
        assert all(part in found for part in words.split(" .* ")) and "learning rate" in found
        assert "\n" not in found


def test_the_best_epoch_is_the_first_of_the_smallest():
    rows = [{"epoch": 1, "distance": None}, {"epoch": 2}]
    assert best_epoch([]) == best_epoch(rows) == 0
    rows += [{"epoch": epoch, "distance": d} for epoch, d in ((3, 5.0), (4, 2.0), (5, 2.0))]
    assert best_epoch(rows) == 4


def test_curves_of_a_finished_training(tmp_path):
    """With the floor and what distances were measured in; without, the losses alone."""
    rows = [GOOD | {"epoch": epoch, "distance": None} for epoch in (1, 2)]
    save_table(tmp_path / "history.csv", [*rows, GOOD | {"epoch": 3, "distance": 40.0}])
    use_course_style()
    helpers.show_history(tmp_path, title="Losses alone")
    assert len(plt.gcf().axes) == 2 and plt.gcf().get_suptitle() == "Losses alone"
    space = {"name": "some features", "sha256": "0123456789abcdef"}
    floor = {"value": 2.0, "space": space, "real": 20, "generated": 20, "seed": 3}
    save_json(tmp_path / "distance.json", {"floor": floor, "best": floor})
    helpers.show_history(tmp_path)
    *_, below = plt.gcf().axes
    assert len(plt.gcf().axes) == 3 and below.get_yscale() == "log"
    assert "some features" in plt.gcf().get_supxlabel()
    plt.close("all")
    plt.rcdefaults()


def test_a_folder_without_a_training(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"history\.csv does not exist; run the notebook"):
        helpers.show_history(tmp_path)
