"""What the device is good for: precision, XLA, several steps per execution, determinism."""

import math
from contextlib import contextmanager
from pathlib import Path

import keras
import tensorflow as tf

PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")
LONGEST_EXECUTION = 32  # steps; after that many the progress bar and the stop at NaN get a turn
# Interpolations whose gradient XLA has; in half precision the gradient of "bicubic" is silently
# missing and that of "lanczos" raises.
XLA_RESIZES = {
    keras.layers.UpSampling2D: ("nearest", "bilinear"),
    keras.layers.Resizing: ("bilinear",),
}
HALF_RESIZES = ("nearest", "bilinear")
CPU_FACTS = Path("/proc/cpuinfo")  # on Linux


def training_options(
    network,
    steps_per_epoch,
    precision="auto",
    xla="auto",
    steps_per_execution=0,
    deterministic=False,
) -> dict:
    """Look at the device, print what it will do, and return options for `AdversarialModel.compile`.

    "auto" takes half precision where the chip has units for it: on a GPU by its compute capability,
    on a CPU bfloat16 where Linux names such instructions. It takes XLA on a GPU where every layer
    can be compiled, and never on a CPU, where float16 without XLA is many times slower.

    Args:
        network: the generator, or the adversarial model with both networks.
        steps_per_epoch: training steps of an epoch, at least 1.
        precision: "float32", "mixed_float16", "mixed_bfloat16" or "auto".
        xla: True, False or "auto".
        steps_per_execution: a divisor of `steps_per_epoch`; 0 stands for 1 on a CPU, and on a GPU
            for the largest divisor up to 32.
        deterministic: repeat a run bit by bit on a GPU too; holds until Python is restarted.

    Returns:
        `precision` (one of the three names), `jit_compile` (bool), `steps_per_execution` (int).

    Raises:
        ValueError: a value that none of these is, or two that TensorFlow cannot do together.
    """
    if precision != "auto":
        _require_precision(precision)
    if not (isinstance(xla, bool) or xla == "auto"):
        raise ValueError(f'XLA is {xla!r}; take "auto", True or False.')
    if not isinstance(deterministic, bool):
        raise ValueError(f"DETERMINISTIC is {deterministic!r}; take True or False.")
    _require_divisor(steps_per_execution, steps_per_epoch)

    distributed = tf.distribute.has_strategy()
    if distributed and steps_per_execution > 1:
        raise ValueError(
            f"STEPS_PER_EXECUTION is {steps_per_execution}, but under tf.distribute TensorFlow "
            "executes one step at a time; take 0 or 1."
        )
    obstacle = _xla_obstacle(network, deterministic, distributed)
    if xla is True and obstacle:
        raise ValueError(f'XLA is True, but {obstacle}; set XLA to "auto" or False.')

    gpu, capability = _first_gpu()
    if precision == "auto":
        precision = _fast_precision(capability) if gpu else _fast_cpu_precision()
    if xla == "auto":
        xla = capability is not None and not obstacle
    if steps_per_execution == 0:
        divisors = _divisors(steps_per_epoch) if gpu and not distributed else [1]
        steps_per_execution = max(d for d in divisors if d <= LONGEST_EXECUTION)
    if deterministic:
        tf.config.experimental.enable_op_determinism()

    parts = [f"Trains on {gpu or 'the CPU'} in {precision}"]
    parts += ["with XLA"] * xla
    parts += [f"{steps_per_execution} steps per execution"] * (steps_per_execution > 1)
    parts += ["the same in every run"] * deterministic
    slow = precision == "mixed_float16" and not gpu and not xla
    print(", ".join(parts) + "." + " A CPU is many times faster in float32." * slow)
    return {
        "precision": precision,
        "jit_compile": xla,
        "steps_per_execution": steps_per_execution,
    }


@contextmanager
def computing_in(precision, *networks):
    """Within the block, built networks compute in `precision`; their weights stay float32.

    What they return must be float32: images and losses are made of it, and bfloat16 has not three
    digits. So the last layer with weights and all that follow it, a Reshape or an Activation for
    instance, compute in float32 whatever `precision` is, and a `Conv2DTranspose` with `activation`
    trains like the same two layers apart. So do layers that resize by an interpolation which
    TensorFlow cannot differentiate in half precision.

    Args:
        precision: "mixed_float16" or "mixed_bfloat16"; "float32" leaves the networks as they are.
        networks: Functional or Sequential models, possibly with others inside.
    """
    policies = []
    if precision != "float32":
        for network in networks:
            layers = list(_layers(network))
            weighty = [number for number, layer in enumerate(layers) if layer.weights]
            for layer in layers[: max(weighty, default=0)]:
                if _interpolation(layer) in (None, *HALF_RESIZES):
                    # A wrapper, such as SpectralNormalization, and what it wraps.
                    policies += [(part, part.dtype_policy) for part in layer._flatten_layers()]
    try:
        for layer, _ in policies:
            layer.dtype_policy = precision
        yield
    finally:
        for layer, policy in policies:
            layer.dtype_policy = policy


def wrap_optimizer(optimizer, precision):
    """The optimizer that `precision` needs: in "mixed_float16" one that scales the loss.

    Gradients below 3e-8 are zero in float16. Scaled, they are not; `apply` divides by the scale
    again, and where a gradient overflows it skips the step and halves the scale.

    Raises:
        ValueError: another name of a precision.
    """
    _require_precision(precision)
    if precision != "mixed_float16" or isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer)


def standard_normal(shape, seed):
    """Standard normal numbers, float32 of `shape`, the same under XLA and without it.

    They are those of `tf.random.stateless_normal`, up to rounding. That function itself draws
    others under XLA, which makes floats of the same random bits in another way.

    Args:
        shape: Python integers.
        seed: two integers, int32 (2,); may be a tensor.
    """
    count = math.prod(shape)
    bits = tf.random.stateless_uniform(
        (math.ceil(count / 2), 2), seed, minval=None, maxval=None, dtype=tf.uint32, alg="philox"
    )
    uniform = tf.cast(bits & 0x7FFFFF, tf.float32) / 2**23
    radius = tf.sqrt(-2 * tf.math.log(tf.maximum(uniform[:, 0], 1e-7)))  # Box and Muller
    angle = 2 * math.pi * uniform[:, 1]
    pairs = tf.stack([radius * tf.sin(angle), radius * tf.cos(angle)], axis=1)
    return tf.reshape(tf.reshape(pairs, [-1])[:count], shape)


def _first_gpu():
    """Name and compute capability of the GPU that trains, None where there is or has none."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return None, None
    details = tf.config.experimental.get_device_details(gpus[0])
    return details.get("device_name", "a GPU"), details.get("compute_capability")


def _fast_precision(capability):
    """Half precision where the GPU has units for it; bfloat16 first, it needs no loss scaling."""
    if capability is None or capability < (7, 0):
        return "float32"
    return "mixed_bfloat16" if capability >= (8, 0) else "mixed_float16"


def _fast_cpu_precision():
    """bfloat16 where Linux says that the processor multiplies such numbers, else float32."""
    facts = CPU_FACTS.read_text(encoding="utf-8") if CPU_FACTS.is_file() else ""
    return "mixed_bfloat16" if {"avx512_bf16", "amx_bf16"} & set(facts.split()) else "float32"


def _xla_obstacle(network, deterministic, distributed):
    """Why XLA cannot train this, as the middle of a sentence; "" if it can."""
    if deterministic:
        return "its kernels do not keep what DETERMINISTIC = True promises"
    if distributed:
        return "it does not go with tf.distribute"
    for layer in _layers(network):
        interpolations = XLA_RESIZES.get(type(layer))
        if interpolations and layer.interpolation not in interpolations:
            return f"it has no gradient of {layer.interpolation} interpolation ({layer.name})"
        if not layer.supports_jit:
            return f"it cannot compile the layer {layer.name}"
    return ""


def _interpolation(layer):
    return layer.interpolation if type(layer) in XLA_RESIZES else None


def _layers(network):
    """All layers, those of networks inside it included, in the order of the data."""
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer


def _divisors(number):
    return [d for d in range(1, number + 1) if number % d == 0]


def _require_divisor(steps, steps_per_epoch):
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 0:
        raise ValueError(
            f"STEPS_PER_EXECUTION is {steps!r}; take a whole number, or 0 to have it chosen."
        )
    if steps == 0 or steps_per_epoch % steps == 0:
        return
    divisors = _divisors(steps_per_epoch)
    near = [max(d for d in divisors if d < steps), *[d for d in divisors if d > steps][:1]]
    raise ValueError(
        f"STEPS_PER_EXECUTION is {steps}, which does not divide the {steps_per_epoch} steps of an "
        f"epoch; take {' or '.join(map(str, near))}, or 0 to have it chosen."
    )


def _require_precision(precision):
    if precision not in PRECISIONS:
        raise ValueError(
            f'PRECISION is {precision!r}; take "auto", {", ".join(map(repr, PRECISIONS))}.'
        )
