"""Several machines: two processes on the loopback, and what is refused before they start."""

import json

import pytest

from helpers import cluster
from helpers.course import main
from helpers.files import load_table
from helpers.refused import Refused
from helpers.run import checkpoint_files
from tests.kills import Machines, lesson4_networks

TWO = {"worker": ["localhost:1", "localhost:2"]}


def config(**changes):
    return json.dumps({"cluster": TWO, "task": {"type": "worker", "index": 0}} | changes)


def test_two_processes_train_as_one_and_the_chief_writes(tmp_path):
    """Then one goes on alone: a checkpoint belongs to no number of machines."""
    lesson4_networks(tmp_path / "killed")
    pair = Machines(tmp_path, epochs=1)
    texts = [pair.finish(number) for number in (0, 1)]
    assert [process.returncode for process in pair.processes] == [0, 0], texts
    assert "This is worker 0 of 2 machines." in texts[0]
    assert "1 epochs are done." in texts[0] and "training.gif" in texts[0]
    lines = texts[1].splitlines()  # TensorFlow 2.20 also logs that its server listens
    assert [line for line in lines if not line.startswith(("WARNING: All log", "I0000"))] == [
        "This is worker 1 of 2 machines.",
        "All machines are there; the first one says how far the training is.",
    ]
    run = tmp_path / "killed"
    assert [path.stem for path in checkpoint_files(run)] == ["epoch_0000", "epoch_0001"]
    together = load_table(run / "history.csv")
    lesson4_networks(tmp_path / "alone" / "killed")
    (tmp_path / "alone" / "images").symlink_to(tmp_path / "images")
    single = Machines(tmp_path / "alone", epochs=1, count=1)
    assert single.finish().endswith("MB.\n")
    alone = load_table(tmp_path / "alone" / "killed" / "history.csv")
    for name in ("discriminator_loss", "generator_loss"):
        assert together[name][0] == pytest.approx(alone[name][0], abs=5e-3)  # bfloat16 on some CPUs


def test_a_peer_that_does_not_answer(monkeypatch, capsys):
    """In three seconds instead of sixty."""
    monkeypatch.setattr(cluster, "PATIENCE", 3)
    monkeypatch.setenv("TF_CONFIG", config())
    monkeypatch.setattr("sys.argv", ["course", "train", "--run", "silent"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert str(caught.value).startswith("Not all machines have answered within 3 seconds. Is the")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{'cluster'", "TF_CONFIG is no JSON; docs/several-devices.md shows one."),
        ("{}", 'TF_CONFIG needs "cluster" with lists of addresses, and "task" with type and index; '
         "docs/several-devices.md shows one."),
        (config(task={"type": "worker", "index": 2}),
         "TF_CONFIG says that this is worker 2, but its cluster has 2 of that kind, counted from "
         "0; docs/several-devices.md shows one."),
        (config(task={"type": "chief", "index": 0}),
         "TF_CONFIG says that this is chief 0, but its cluster has 0 of that kind, counted from "
         "0; docs/several-devices.md shows one."),
    ],
)  # fmt: skip
def test_a_configuration_that_says_no_machine(monkeypatch, text, sentence):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(Refused) as caught:
        cluster.read_task()
    assert str(caught.value) == sentence


def test_another_number_of_workers_than_slurm_has_started(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config())
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    with pytest.raises(Refused, match="TF_CONFIG names 2 workers, and Slurm has started 4"):
        cluster.read_task()
