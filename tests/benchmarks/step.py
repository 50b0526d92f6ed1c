"""How fast is a training step, beside peers and beside what the machine can multiply?

python -m tests.benchmarks.step [--rounds 5]

Each round times every candidate at the same networks (lesson 3's) and batch, and the rate of a
large matrix product, so that other work on the machine slows all alike. Printed are the median of
the ratios within a round, and the range. A step of n images is counted as 3 forward passes of the
generator and 7 of the discriminator, in multiply-adds, taps on padding left out, and so is the
average's own forward pass. PyTorch takes part where it is installed. The tutorial's step is timed
twice: in this process, and in one of its own where TensorFlow is imported as the tutorial does it,
so without oneDNN on processors without AVX-512. Then the layers are timed one by one.
"""

import argparse
import os
import subprocess
import sys
import time

import helpers  # isort: skip  before Keras, for oneDNN
import keras
import numpy as np
import tensorflow as tf

from helpers.training.options import computing_in
from tests.benchmarks import tutorial
from tests.taught_model import taught_model

SHAPES = {(28, 28, 1): 128, (64, 64, 3): 32}  # with their batches
SIDE = 2048  # of the matrices
SECONDS = 3.0  # of a candidate in a round, about


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    for shape, batch_size in SHAPES.items():
        compare(shape, batch_size, rounds)


def compare(shape, batch_size, rounds):
    model, _ = taught_model(shape)
    work = 3 * multiply_adds(model.generator) + 7 * multiply_adds(model.discriminator)
    batches = iter(batches_of_noise(shape, batch_size))
    candidates = {
        "the course's step": course_step(shape, batches, "float32"),
        "the tutorial's step": tutorial_step(shape, batches, batch_size),
        **torch_steps(shape, batch_size),
        "with the average": course_step(shape, batches, "float32", model.ema_decay),
    }
    gemms = {"float32": gemm("float32")}
    if model.precision != "float32":  # for oneDNN ends Python where it lacks the instructions
        candidates[f"in {model.precision}"] = course_step(shape, batches, model.precision)
        gemms["bfloat16"] = gemm("bfloat16")
    published = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.published", *map(str, (*shape, batch_size))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={k: v for k, v in os.environ.items() if k != "TF_ENABLE_ONEDNN_OPTS"},
        text=True,
    )
    for action in (*candidates.values(), *gemms.values()):
        action()  # to trace it
    next(line for line in published.stdout if line == "ready\n")  # it has traced its own
    rates = {name: [] for name in (*candidates, "the tutorial's, apart")}
    limits = {name: [] for name in gemms}
    for _ in range(rounds):
        for name, action in gemms.items():
            limits[name].append(SIDE**3 * rate(action))  # multiply-adds a second
        for name, action in candidates.items():
            rates[name].append(batch_size * rate(action))  # images a second
        print(SECONDS, file=published.stdin, flush=True)
        rates["the tutorial's, apart"].append(float(published.stdout.readline()))
    published.communicate()
    print(f"\n{shape}, batches of {batch_size}, {work / 1e6:.0f} million multiply-adds an image")
    for name, each in limits.items():
        print(f"  product of {SIDE}x{SIDE} matrices, {name}: {np.median(each) * 2e-9:,.0f} GFLOP/s")
    ours = np.array(rates["the course's step"])
    for name, each in rates.items():
        limit = work * np.array(each) / limits["float32"]
        print(
            f"  {name:22}{np.median(each):7.0f} images/s; the course's is {spread(ours / each)} "
            f"times that; {spread(limit)} of the float32 product"
        )
    print("  ms, and share of the float32 product   forward        backward")
    for network in (model.generator, model.discriminator):
        for layer in network.layers[1:]:
            print(time_of(layer, batch_size, np.median(limits["float32"])))
    share = share_between_steps(shape)
    print(f"  between the steps of fit, without callbacks: {share:.1%} of the time")


def share_between_steps(shape, steps=100) -> float:
    """The share of `fit`'s time that passes between two steps, at the recipe's batch."""
    model, batch_size = taught_model(shape)
    model.make_train_function()
    compiled, times = model.train_function, []

    def step(batches):
        start = time.perf_counter()
        result = compiled(batches)
        times.append((start, time.perf_counter()))
        return result

    model.train_function = step
    batches = batches_of_noise(shape, batch_size)
    model.fit(batches, steps_per_epoch=1 + steps, epochs=1)
    starts, ends = zip(*times[1:])  # the first step is traced
    between = sum(start - end for start, end in zip(starts[1:], ends))
    return between / (ends[-1] - starts[0])


def time_of(layer, batch_size, limit) -> str:
    """A line with the time of a layer's passes, and its share of `limit` multiply-adds a second.

    The backward pass is the gradient by the layer's input and by its weights.
    """
    inputs = tf.random.normal((batch_size, *layer.input.shape[1:]))
    output_gradient = tf.random.normal((batch_size, *layer.output.shape[1:]))

    @tf.function
    def forward():
        return layer(inputs, training=True)

    @tf.function
    def both():
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=True)
        wanted = [inputs, *layer.trainable_variables]
        return tape.gradient(outputs, wanted, output_gradients=output_gradient)

    seconds = []
    for action in (forward, both):
        action()
        seconds.append(1 / rate(action, seconds=0.5))
    seconds[1] -= seconds[0]
    work = batch_size * layer_multiply_adds(layer)
    cells = [
        f"{1e3 * each:6.1f}" + (f" ({passes * work / each / limit:.2f})" if work else " " * 7)
        for each, passes in zip(seconds, (1, 2))
    ]
    sides = " -> ".join("x".join(map(str, t.shape[1:])) for t in (layer.input, layer.output))
    return f"  {type(layer).__name__:20}{sides:22}{cells[0]}  {cells[1]}"


def spread(ratios) -> str:
    return f"{np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def rate(action, seconds=SECONDS) -> float:
    """How often a second, over about so many seconds."""
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        action()
        count += 1
    return count / (time.perf_counter() - start)


def batches_of_noise(shape, batch_size):
    images = np.random.default_rng(0).integers(0, 256, (1_000, *shape), np.uint8)
    return helpers.training_batches(images, batch_size, seed=0)


def course_step(shape, batches, precision, ema_decay=0.0):
    """A step as `fit` takes it, without the callbacks."""
    model, _ = taught_model(shape, precision=precision, ema_decay=ema_decay)
    model.make_train_function()
    networks = (model.generator, model.ema_generator, model.discriminator)

    def step():
        with computing_in(precision, *networks):
            model.train_function(batches)

    return step


def gemm(dtype):
    left, right = (tf.cast(tf.random.normal((SIDE, SIDE)), dtype) for _ in range(2))
    multiply = tf.function(lambda: tf.reduce_sum(tf.linalg.matmul(left, right)))
    return lambda: multiply().numpy()


def tutorial_step(shape, batches, batch_size):
    """The tutorial's step as it stands there: a compiled function, no averages, no metrics."""
    model, _ = taught_model(shape, precision="float32", ema_decay=0.0)
    optimizers = [keras.optimizers.Adam(1e-4) for _ in range(2)]
    step = tutorial.make_step(model.generator, model.discriminator, *optimizers, batch_size)
    return lambda: step(next(batches))


def multiply_adds(network) -> int:
    """Of a forward pass of one image, taps on padding left out."""
    return sum(layer_multiply_adds(layer) for layer in network.layers)


def layer_multiply_adds(layer) -> int:
    if isinstance(layer, keras.layers.Dense):
        return layer.kernel.shape[0] * layer.kernel.shape[1]
    if not hasattr(layer, "kernel"):
        return 0
    (_, large, _, _), (_, small, _, _) = sorted(
        (layer.input.shape, layer.output.shape), key=lambda shape: -shape[1]
    )
    size, _, *maps = layer.kernel.shape
    return taps(large, small, size) ** 2 * maps[0] * maps[1]


def taps(large, small, kernel_size) -> int:
    """How often a kernel at every second place of `large` pixels meets one, in one dimension."""
    padding = max((small - 1) * 2 + kernel_size - large, 0) // 2
    places = np.arange(small)[:, None] * 2 - padding + np.arange(kernel_size)
    return int(np.sum((places >= 0) & (places < large)))


def torch_steps(shape, batch_size) -> dict:
    try:
        import torch
    except ImportError:
        return {}
    from tests.benchmarks import pytorch

    step = pytorch.make_step(shape, batch_size)
    compiled = torch.compile(step)
    try:
        compiled()
    except Exception as error:
        print(f"torch.compile does not work here: {type(error).__name__}")
        return {"PyTorch": step}
    return {"PyTorch": step, "PyTorch, compiled": compiled}


if __name__ == "__main__":
    main()
