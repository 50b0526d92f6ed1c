"""What the numbers of a training say: its curves, its best epoch, and what has gone wrong."""

from pathlib import Path

from helpers.evaluation.features import circumstances
from helpers.files import load_json, load_table
from helpers.plots import plot_history
from helpers.run import DISTANCE, HISTORY

EPOCHS = 3  # in a row with a symptom: a single one may pass
WON_ACCURACY = 0.999
WON_GRADIENT = 0.05  # a saturated loss gave 0.01 and falling, healthy trainings 0.3 to 80
WON_LOSS = 8.0  # generated images pass with a chance of e^-8, 1 in 3,000; at 6.4, one recovered
COLLAPSED_STD = 0.005  # below a gray level or two; an untrained generator has 0.015
REMEDIES = {
    "won": (
        "The discriminator has won: it knows every image, and the generator learns nothing from "
        "it (gradient {gradient_norm:.3f}, loss {generator_loss:.1f}). Give the discriminator's "
        "optimizer a smaller learning rate, in a new run (RUN_NAME); if you have changed the "
        "generator's loss, take the non-saturating one."
    ),
    "collapsed": (
        "The generator has collapsed: its images are one image (their pixels vary by "
        "{pixel_std:.1%} of what the real images' do). Give both optimizers a smaller learning "
        "rate, or take another SEED, in a new run (RUN_NAME)."
    ),
}


def symptom(row: dict) -> str:
    """The symptom of one row of the history: "won", "collapsed", or "" for none.

    Args:
        row: of `history.csv`: accuracies 0 to 1, `generator_loss`, `gradient_norm` (global norm,
            mean of the epoch), and if there is one `pixel_std` (of the previews, as a share of
            the real images').
    """
    if row.get("pixel_std", 1) < COLLAPSED_STD:
        return "collapsed"
    accuracy = min(row["real_accuracy"], row["generated_accuracy"])
    helpless = row["gradient_norm"] < WON_GRADIENT or row["generator_loss"] > WON_LOSS
    return "won" if accuracy >= WON_ACCURACY and helpless else ""


def diagnose(history: list[dict]) -> str:
    """The last epoch's diagnosis and remedy where the last epochs all have a symptom, else ""."""
    found = [symptom(row) for row in history[-EPOCHS:]]
    if len(found) < EPOCHS or not all(found):
        return ""
    return REMEDIES[found[-1]].format(**history[-1])


def best_epoch(history: list[dict]) -> int:
    """The epoch of the smallest distance, the first of equals; 0 where none is measured.

    Args:
        history: rows of `history.csv`, with None for a distance that was not measured.
    """
    measured = [row for row in history if row.get("distance") is not None]
    return min(measured, key=lambda row: row["distance"])["epoch"] if measured else 0


def show_history(folder, title: str = "", behind=None) -> None:
    """Draw the curves of a training, from `history.csv` and `distance.json` in its folder.

    Args:
        behind: the folder of another training, whose curves are drawn in gray behind.

    Raises:
        FileNotFoundError: nothing has been trained there.
        ValueError: one of the files is damaged.
    """
    floor, note = None, ""
    if (Path(folder) / DISTANCE).is_file():
        floor = load_json(Path(folder) / DISTANCE)["floor"]
        note = circumstances(floor)
    behind = load_table(Path(behind) / HISTORY) if behind else None
    plot_history(load_table(Path(folder) / HISTORY), floor, note, title, behind)
