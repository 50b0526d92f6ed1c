"""What the numbers of an epoch say when a training has gone wrong, and what to do."""

EPOCHS = 3  # in a row with one symptom: a single one may pass
WON_ACCURACY = 0.999
WON_GRADIENT = 0.05  # a saturated loss gave 0.01 and falling, healthy trainings 0.3 to 80
COLLAPSED_VARIETY = 0.005  # below a gray level or two; an untrained generator has 0.015
REMEDIES = {
    "won": (
        "The discriminator has won: for {epochs} epochs it has known every image, and the "
        "generator's gradient has vanished ({generator_gradient:.3f}). Use the non-saturating "
        "loss, or give the discriminator's optimizer a smaller learning rate."
    ),
    "collapsed": (
        "The generator has collapsed: for {epochs} epochs its images have been one image (their "
        "variety is {variety:.1%} of the real images'). Give both optimizers a smaller learning "
        "rate, or start over with another SEED."
    ),
}


def symptom(row: dict) -> str:
    """The symptom of one row of the history: "won", "collapsed", or "" for none.

    Args:
        row: of `history.csv`: accuracies 0 to 1, `generator_gradient` (global norm, mean of the
            epoch), `variety` (of the previews, as a share of the real images').
    """
    accuracy = min(row["real_accuracy"], row["generated_accuracy"])
    if accuracy >= WON_ACCURACY and row["generator_gradient"] < WON_GRADIENT:
        return "won"
    return "collapsed" if row.get("variety", 1) < COLLAPSED_VARIETY else ""


def diagnose(history: list[dict]) -> str:
    """A diagnosis with its remedy where the last epochs all show one symptom, else ""."""
    found = {symptom(row) for row in history[-EPOCHS:]}
    if len(history) < EPOCHS or len(found) > 1 or found == {""}:
        return ""
    return REMEDIES[found.pop()].format(epochs=EPOCHS, **history[-1])
