"""Lesson 4's own training, killed with SIGKILL, ends as if nobody had killed it: bit for bit."""

import random
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from kills import STARTED, Training, differences, finish_with_kills, run_folder, state

# Stops in the middle of writing the second checkpoint, says so, and waits to be killed there.
IN_A_WRITE = """
import time, numpy as np
usual, written = np.savez, 0

def savez(file, **arrays):
    global written
    usual(file, **arrays)
    if "checkpoints" in str(file):
        written += 1
        if written == 2:
            with open(file, "rb+") as half:
                half.truncate(half.seek(0, 2) // 2)
            print("half written", flush=True)
            time.sleep(600)

np.savez = savez
from tests.lesson4 import main
main()
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The same training without a kill."""
    folder = tmp_path_factory.mktemp("kills") / "whole"
    text = Training(folder).finish()
    assert f"0 of 192 {STARTED}" in text
    return SimpleNamespace(folder=folder, state=state(folder))


def test_the_comparison_sees_a_bit(whole):
    other = dict(whole.state)
    weight = other["generator/000"] = other["generator/000"].copy()
    weight.view(np.uint8).reshape(-1)[0] ^= 1
    assert differences(whole.state, other) == ["generator/000"]
    groups = {name.split("/")[0] for name in whole.state if "/" in name}
    assert groups >= {"generator", "discriminator", "generator_optimizer", "random", "means"}
    assert {"ema_generator", "best_generator"} <= groups
    files = {"history.csv", "distance.json", "epoch_0000.npy", "epoch_0012.npy"}
    assert {"history", *files} <= whole.state.keys()


def test_ten_kills_in_a_row(whole, tmp_path):
    folder = tmp_path / "runs"
    killed = finish_with_kills(folder, 10, random.Random(0))
    assert len(killed) == 10, killed
    assert differences(whole.state, state(folder)) == []


def test_a_kill_while_a_checkpoint_is_written(whole, tmp_path):
    folder = tmp_path / "runs"
    training = Training(folder, program=(sys.executable, "-c", IN_A_WRITE))
    training.wait_until(lambda text: "half written" in text)
    assert training.kill()
    saved = [path.name for path in (run_folder(folder) / "checkpoints").iterdir()]
    assert sorted(saved) == [".step_0000032.partial.npz", "step_0000016.npz"]
    assert f"16 of 192 {STARTED}" in Training(folder).finish()
    assert differences(whole.state, state(folder)) == []
    assert not list(folder.rglob(".*partial*"))


def test_changed_settings_are_told_and_change_nothing(whole):
    """Another batch size, another seed: one sentence with both ways out."""
    before = state(whole.folder)
    for change in ({"BATCH_SIZE": 64}, {"SEED": 7}):
        ((name, value),) = change.items()
        with pytest.raises(RuntimeError) as caught:
            Training(whole.folder, **change).finish()
        message = str(caught.value).splitlines()[-1]
        assert (
            message.startswith("helpers.notebook.Refused: ")
            and f"now it is {value}" in message
            and name in message
        )
        assert "Choose another RUN_NAME, or set RESUME = False" in message
    assert differences(before, state(whole.folder)) == []
