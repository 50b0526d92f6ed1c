"""What several devices cost and what they could bring: lesson 4's step on 1, 2, 4 … of them.

python -m tests.benchmarks.scale [--batch-size 64] [--step-ms 100] [--link 25]

On GPUs it measures 1, 2, 4 … of those there are. Without, it splits the CPU into logical devices.
They share its cores, so nothing gets faster: what a step takes longer than on one device is
communication and waiting. Then two processes are compared with one on the same cores. The last
table is a calculation: the measured step (or --step-ms) and a ring all-reduce over a link (--link,
GB/s), with the same batch for each GPU.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import helpers  # isort: skip  before TensorFlow, for oneDNN
import keras
import numpy as np
import tensorflow as tf

from helpers.machine import ROOT
from helpers.networks import flat_layers
from helpers.training.machines import open_machines
from tests.kills import free_ports
from tests.taught_model import taught_model

WARM_UP = 3  # steps that are not counted: the first ones trace
LOGICAL_CPUS = 4


class StepTimes(keras.callbacks.Callback):
    on_every_machine = True

    def __init__(self):
        super().__init__()
        self.ends = []

    def on_train_batch_end(self, batch, logs=None):
        self.ends.append(time.perf_counter())


def measure(strategy, arguments):
    """The median time of a step in seconds, and the compiled model."""
    with strategy.scope():
        model, _ = taught_model(
            (28, 28, 1), feature_maps=arguments.feature_maps, precision="float32"
        )
    images = np.random.default_rng(0).integers(0, 256, (1024, 28, 28, 1), np.uint8)
    batches = helpers.training_batches(images, arguments.batch_size, 0, devices=strategy)
    times = StepTimes()
    model.fit(batches, steps_per_epoch=WARM_UP + arguments.steps, epochs=1, callbacks=[times])
    return statistics.median(np.diff(times.ends)[WARM_UP - 1 :]), model


def reduced_bytes(model) -> dict:
    """Bytes that the devices add up in a step, by what they are; float32.

    The generator's gradients go twice, once for the optimizer and once for their norm in the
    history. A batch normalisation sends three numbers for each feature map, and two gradients on
    the way back; the discriminator's are called twice.
    """
    features = {
        name: sum(
            layer.gamma.shape[0]
            for layer in flat_layers(getattr(model, name))
            if isinstance(layer, keras.layers.BatchNormalization)
        )
        for name in ("generator", "discriminator")
    }
    weights = {
        name: sum(int(np.prod(each.shape)) for each in getattr(model, name).trainable_variables)
        for name in ("generator", "discriminator")
    }
    return {
        "discriminator's gradients": 4 * weights["discriminator"],
        "generator's gradients": 4 * weights["generator"],
        "the same, for their norm": 4 * weights["generator"],
        "batch normalisation": 4 * 5 * (features["generator"] + 2 * features["discriminator"]),
    }


def on_devices(arguments):
    """Measure and print 1, 2, 4 … devices; the step of one, in seconds, and the bytes."""
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    if kind == "CPU":
        cpu = tf.config.list_physical_devices("CPU")[0]
        parts = [tf.config.LogicalDeviceConfiguration()] * LOGICAL_CPUS
        tf.config.set_logical_device_configuration(cpu, parts)
    names = [device.name for device in tf.config.list_logical_devices(kind)]
    what = "GPUs" if kind == "GPU" else f"logical CPUs that share {os.cpu_count()} cores"
    print(f"Global batch {arguments.batch_size}, {arguments.feature_maps} feature maps, on {what}")
    print("devices  ms a step  images/s  communication and waiting")
    alone = total = 0
    count = 1
    while count <= len(names):
        ops = tf.distribute.ReductionToOneDevice() if kind == "CPU" else None
        several = count > 1
        strategy = (
            tf.distribute.MirroredStrategy(names[:count], ops)
            if several
            else tf.distribute.get_strategy()
        )
        seconds, model = measure(strategy, arguments)
        alone = alone or seconds
        ideal = alone / count if kind == "GPU" else alone  # the cores are the same ones
        share = max(0, 1 - ideal / seconds)
        print(
            f"{count:7}  {1000 * seconds:9.1f}  {arguments.batch_size / seconds:8.0f}"
            f"  {share:6.0%}",
            flush=True,
        )
        if not total:
            total = reduced_bytes(model)
        count *= 2
    return alone, total


def in_two_processes(arguments):
    """Print the step of two processes that train together, against one with the same cores."""
    ports = free_ports(2)
    cluster = {"worker": [f"localhost:{port}" for port in ports]}
    processes = []
    for number in (0, 1):
        task = {"cluster": cluster, "task": {"type": "worker", "index": number}}
        command = [sys.executable, "-m", "tests.benchmarks.scale", "--one-of-two"]
        command += ["--batch-size", str(arguments.batch_size), "--steps", str(arguments.steps)]
        command += ["--feature-maps", str(arguments.feature_maps)]
        environment = os.environ | {"TF_CONFIG": json.dumps(task), "CUDA_VISIBLE_DEVICES": ""}
        processes.append(
            subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        )
    outputs = [process.communicate(timeout=600)[0] for process in processes]
    return float(outputs[0].splitlines()[-1])


def predicted(arguments, seconds, size):
    """Print the step for 1 to 64 GPUs: a ring all-reduce moves 2 (n - 1) / n of the bytes."""
    print(
        f"Calculated from a step of {1000 * seconds:.1f} ms with {arguments.batch_size} images on "
        f"one device and a link of {arguments.link:g} GB/s; {arguments.batch_size} images for each"
    )
    print("devices  MB over the link  ms a step  images/s  of the ideal")
    for count in (1, 2, 4, 8, 16, 32, 64):
        moved = 2 * (count - 1) / count * size
        step = seconds + moved / (arguments.link * 1e9)
        rate = count * arguments.batch_size / step
        print(
            f"{count:7}  {moved / 1e6:16.1f}  {1000 * step:9.2f}  {rate:8.0f}"
            f"  {seconds / step:6.0%}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch-size", type=int, default=64, help="global, for all devices")
    parser.add_argument("--feature-maps", type=int, default=64)
    parser.add_argument("--steps", type=int, default=12, help="that are counted")
    parser.add_argument("--step-ms", type=float, help="of one device, for the last table")
    parser.add_argument("--link", type=float, default=25, help="GB/s, for the last table")
    parser.add_argument("--one-of-two", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one_of_two:
        print(measure(open_machines(), arguments)[0])
        sys.stdout.flush()
        time.sleep(2)  # who ends first disturbs the other
        os._exit(0)
    seconds, parts = on_devices(arguments)
    total = sum(parts.values())
    print("\nadded up in a step, MB")
    for name, size in parts.items():
        print(f"  {name:26}{size / 1e6:8.3f}")
    print(f"  {'all':26}{total / 1e6:8.3f}\n")
    together = in_two_processes(arguments)
    print(
        f"two processes on this CPU: {1000 * together:.1f} ms a step, "
        f"{together / seconds:.2f} times that of one device above\n"
    )
    predicted(arguments, arguments.step_ms / 1000 if arguments.step_ms else seconds, total)


if __name__ == "__main__":
    main()
