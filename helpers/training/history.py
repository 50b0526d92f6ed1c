"""What the numbers of an epoch say when a training has gone wrong, and what to do."""

EPOCHS = 3  # in a row with a symptom: a single one may pass
WON_ACCURACY = 0.999
WON_GRADIENT = 0.05  # a saturated loss gave 0.01 and falling, healthy trainings 0.3 to 80
WON_LOSS = 8.0  # generated images pass with a chance of e^-8, 1 in 3,000; at 6.4, one recovered
COLLAPSED_VARIETY = 0.005  # below a gray level or two; an untrained generator has 0.015
REMEDIES = {
    "won": (
        "The discriminator has won: it knows every image, and the generator learns nothing from "
        "it (gradient {gradient_norm:.3f}, loss {generator_loss:.1f}). Give the "
        "discriminator's optimizer a smaller learning rate, in a new run (RUN_NAME); if you have "
        "changed the generator's loss, take the non-saturating one."
    ),
    "collapsed": (
        "The generator has collapsed: its images are one image (their variety is {pixel_std:.1%} of "
        "the real images'). Give both optimizers a smaller learning rate, or take another SEED, in "
        "a new run (RUN_NAME)."
    ),
}


def symptom(row: dict) -> str:
    """The symptom of one row of the history: "won", "collapsed", or "" for none.

    Args:
        row: of `history.csv`: accuracies 0 to 1, `generator_loss`, `gradient_norm` (global
            norm, mean of the epoch), and if there is one `pixel_std` (of the previews, as a share of
            the real images').
    """
    if row.get("pixel_std", 1) < COLLAPSED_VARIETY:
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
