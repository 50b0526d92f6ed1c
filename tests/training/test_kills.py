"""Lesson 4's own training, killed or stopped, ends as if nobody had done so: bit for bit."""

import pytest

from helpers.run import checkpoint_files
from tests.kills import PARAMETERS, Training, differences, state


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The same training without a kill, and what it ends with."""
    folder = tmp_path_factory.mktemp("kills") / "whole"
    assert "0 of 3 epochs are done (8 steps each)." in Training(folder).finish()
    return state(folder)


def test_what_is_compared(whole):
    parts = {name.split("/")[0] for name in whole}
    assert parts >= {"generator", "ema_generator", "best_generator", "discriminator"}
    assert parts >= {"discriminator_optimizer", "history", "floor", "settings", "epoch"}
    assert parts >= {"history.csv", "distance.json", "step_0000000.npy", "step_0000024.npy"}
    assert any(part in parts for part in ("optimizer", "generator_optimizer"))
    other = whole | {"history.csv": "0"}
    assert differences(whole, other) == ["history.csv"]


def test_a_training_that_is_stopped_and_killed_ends_with_the_same_bits(whole, tmp_path):
    """The stop button, as SIGINT, ends with one line; then SIGKILL; then nobody disturbs it."""
    training = Training(tmp_path / "runs")
    training.wait_until(10)
    printed = training.interrupt()
    assert printed.endswith(
        "Stopped. Run this cell again: with RESUME = True a training with checkpoints goes on "
        "after its last finished epoch; one without starts anew.\n"
    )
    assert "Traceback" not in printed
    saved = checkpoint_files(tmp_path / "runs" / PARAMETERS["RUN_NAME"])
    assert len(saved) == 2
    training = Training(tmp_path / "runs")
    training.wait_until(1)
    assert f"{int(saved[-1].stem[-4:])} of 3 epochs are done" in training.text()
    assert training.kill()
    Training(tmp_path / "runs").finish()
    assert differences(whole, state(tmp_path / "runs")) == []
