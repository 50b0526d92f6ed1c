"""Several devices: the same global batch gives the same training, whoever shares it."""

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import helpers
from helpers.machine import ROOT
from helpers.refused import Refused


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What `tests.training.replicas` prints: one process for all tests, for it is slow to start."""
    folder = tmp_path_factory.mktemp("replicas")
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.replicas", folder],
        cwd=ROOT, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("replicas", [2, 4])
def test_fifty_steps_are_those_of_one_device(found, replicas):
    """Batch normalisation in both networks, so that its statistics must be shared, too."""
    apart = found[f"on {replicas}"]
    assert apart["gradients"] < 1e-5
    assert apart["first row"] < 1e-5  # both losses, both accuracies, the norm of the gradients
    assert apart["losses"] < 1e-4 and apart["weights"] < 1e-4  # allowed are 2e-2 and 5e-3
    assert apart["statistics"] < 1e-4
    assert found[f"Adam on {replicas}"] < 1e-4


def test_a_loss_that_is_no_mean_sees_the_whole_batch(found):
    assert found["own loss"] < 1e-5


def test_undecided_is_two_logarithms_of_two_on_two_devices(found):
    assert found["undecided"] == pytest.approx(1.3862944)


def test_a_checkpoint_of_two_devices_goes_on_with_one_and_with_four(found):
    for replicas in (1, 4):
        assert found[f"files on {replicas}"] == ["epoch_0002.zip", "epoch_0003.zip"]
        stopped = found[f"stopped on {replicas}"]
        assert stopped.startswith("Stopped. Run this cell again: with RESUME = True a training")
    assert found["steps taken"] == [11, 11]
    assert found["layers as before"] and found["file"] == 0.0


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("option",
         "On several devices, fit has no validation_data; leave it out, or set DEVICES = 1."),
        ("mixed",
         "On 2 devices, Keras's losses are divided by their number and others are not; "
         "generator_loss mixes both, so write it with one kind, or set DEVICES = 1."),
        ("batch",
         "A batch of 7 images cannot be divided among 2 devices; set BATCH_SIZE to a multiple of "
         "2."),
        ("XLA",
         "XLA does not go with several devices in TensorFlow; leave it to the course, or set "
         "DEVICES = 1."),
        ("steps",
         "STEPS_PER_EXECUTION does not go with several devices in TensorFlow; leave it to the "
         "course, or set DEVICES = 1."),
        ("clips",
         "An optimizer has clipnorm, which on several devices clips something else than on one; "
         "leave it out, or set DEVICES = 1."),
        ("another number",
         "DEVICES is 'cpu:2', but TensorFlow has started already and the CPU is in 4; restart the "
         "kernel and run all cells."),
    ],
)  # fmt: skip
def test_what_several_devices_refuse(found, what, sentence):
    assert found[what] == sentence


def test_the_cell_that_splits_the_cpu_can_be_run_again(found):
    assert found["again"] == 4
    assert found["options"] == {
        "precision": "float32", "jit_compile": False, "steps_per_execution": 1,
    }  # fmt: skip


class Watched(np.memmap):
    """Images on disk that remember which of them were read."""

    def __getitem__(self, indices):
        self.asked.append(indices)
        return np.asarray(self)[indices]


def test_each_machine_reads_its_own_images_of_a_batch_and_no_others(tmp_path):
    """Two machines with one device each; image n has the value n, so that batches show it."""
    numbers = np.arange(20, dtype=np.uint8)[:, None, None, None]
    numbers.tofile(tmp_path / "images")

    def of_machine(number):
        resolver = SimpleNamespace(
            task_type="worker", task_id=number,
            cluster_spec=lambda: SimpleNamespace(as_dict=lambda: {"worker": ["a", "b"]}),
        )  # fmt: skip
        return SimpleNamespace(
            num_replicas_in_sync=2, cluster_resolver=resolver,
            extended=SimpleNamespace(worker_devices=["CPU:0"]),
        )  # fmt: skip

    def read(devices):
        images = Watched(tmp_path / "images", np.uint8, "r", shape=numbers.shape)
        images.asked = []
        batches = helpers.training_batches(images, 4, 7, devices=devices).take(10)
        seen = [np.rint(batch.numpy().ravel() * 127.5 + 127.5) for batch in batches]
        assert np.array_equal(np.concatenate(images.asked[:10]), np.concatenate(seen))
        return np.array(seen)

    parts = [read(of_machine(number)) for number in (0, 1)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), read(None))


@pytest.mark.parametrize(
    ("devices", "sentence"),
    [
        (3, "DEVICES is 3; take 1, \"all\" for all GPUs, or \"cpu:2\"."),
        ("cpu:1", "DEVICES is 'cpu:1'; take 1, \"all\" for all GPUs, or \"cpu:2\"."),
        ("gpus", "DEVICES is 'gpus'; take 1, \"all\" for all GPUs, or \"cpu:2\"."),
    ],
)  # fmt: skip
def test_other_devices_are_refused(devices, sentence):
    with pytest.raises(Refused) as caught:
        helpers.open_devices(devices)
    assert str(caught.value) == sentence


def test_all_gpus_need_one(monkeypatch):
    monkeypatch.setattr("tensorflow.config.list_logical_devices", lambda kind: [])
    with pytest.raises(Refused, match='DEVICES is "all", and TensorFlow sees no GPU here'):
        helpers.open_devices("all")
