"""What the device is good for: precision, XLA, several steps per execution, determinism."""

from contextlib import contextmanager
from pathlib import Path

import keras
import tensorflow as tf

from helpers.networks import flat_layers
from helpers.refused import Refused
from helpers.training.distributed import replicas_of

PRECISIONS = ("float32", "mixed_bfloat16")
LONGEST_EXECUTION = 32  # steps; after that many the progress bar and the stop at NaN get a turn
CPU_FACTS = Path("/proc/cpuinfo")  # on Linux


def training_options(
    model, steps_per_epoch, precision="auto", xla="auto", steps_per_execution=0, deterministic=False
) -> dict:
    """Look at the device, print what it will do, and return options for `AdversarialModel.compile`.

    Args:
        model: the adversarial model, or any model whose layers are to be trained.
        steps_per_epoch: training steps of an epoch, at least 1.
        precision: "float32", "mixed_bfloat16" or "auto", see `fast_precision`.
        xla: True, False, or "auto" for what Keras does: yes on a GPU, no on a CPU. Layers whose
            gradient XLA does not have are trained without it.
        steps_per_execution: a divisor of `steps_per_epoch`; 0 stands for 1 on a CPU, and on a GPU
            for the largest divisor up to 32, or 1 where several train together.
        deterministic: repeat a run bit by bit on a GPU too; holds until Python is restarted.

    Returns:
        `precision` (one of the two names), `jit_compile` ("auto", True or False) and
        `steps_per_execution` (int).

    Raises:
        Refused: a value that none of these is; XLA for a layer whose gradient it does not have,
            with `deterministic`, or on several devices; several steps per execution on those.
    """
    for name, value, allowed in (
        ("PRECISION", precision, ("auto", *PRECISIONS)),
        ("XLA", xla, ("auto", True, False)),
        ("DETERMINISTIC", deterministic, (True, False)),
    ):
        if value not in allowed:
            raise Refused(f"{name} is {value!r}; take one of {', '.join(map(repr, allowed))}.")
    several = replicas_of(model) > 1
    if several and (xla is True or steps_per_execution not in (0, 1)):
        name = "XLA" if xla is True else "STEPS_PER_EXECUTION"
        raise Refused(
            f"{name} does not go with several devices in TensorFlow; leave it to the course, or "
            "set DEVICES = 1."
        )
    steps, divisors = steps_per_execution, _divisors(steps_per_epoch)
    if steps not in (0, *divisors):  # Keras would run past the end of the epoch
        raise Refused(
            f"STEPS_PER_EXECUTION is {steps!r}; take a divisor of the {steps_per_epoch} steps of "
            "an epoch, or 0 to have it chosen."
        )
    hard = [layer for layer in flat_layers(model) if hard_to_differentiate(layer)]
    if hard and xla is True:
        raise Refused(
            f"XLA is True, but it has no gradient of {hard[0].interpolation} interpolation "
            f'({hard[0].name}); set XLA to "auto".'
        )
    if deterministic and xla is True:
        raise Refused(
            "XLA is True, but its kernels do not keep what DETERMINISTIC = True promises; set XLA "
            'to "auto".'
        )
    xla = False if hard or deterministic or several else xla
    gpu, capability = _first_gpu()
    if precision == "auto":
        precision = fast_precision(gpu, capability, _cpu_flags())
    longest = LONGEST_EXECUTION if gpu and not several else 1
    steps = int(steps) or max(d for d in divisors if d <= longest)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    parts = [f"Trains on {gpu or 'the CPU'} in {precision}"]
    parts += ["with XLA"] * (xla is True) + ["without XLA"] * (xla is False)
    parts += [f"{steps} steps per execution"] * (steps > 1)
    parts += ["the same in every run"] * deterministic
    print(", ".join(parts) + ".")
    return {"precision": precision, "jit_compile": xla, "steps_per_execution": steps}


def fast_precision(gpu, capability, cpu_flags) -> str:
    """bfloat16 where the chip multiplies such numbers much faster, else float32.

    Args:
        gpu: name of the GPU that trains, or None.
        capability: its compute capability, such as (8, 0), or None where it has none.
        cpu_flags: the CPU's instructions, as Linux names them; used where there is no GPU.
    """
    enough = (capability or (0, 0)) >= (8, 0) if gpu else "amx_bf16" in cpu_flags
    return "mixed_bfloat16" if enough else "float32"


@contextmanager
def computing_in(precision, *networks):
    """Within the block, built networks compute in `precision`; their weights stay float32.

    What they return must be float32: images and losses are made of it, and bfloat16 has not three
    digits. So the last layer with weights and all that follow it compute in float32 whatever
    `precision` is, and so do layers that are hard to differentiate.

    Args:
        precision: "mixed_bfloat16"; "float32" leaves the networks as they are.
        networks: Functional or Sequential models, possibly with others inside.
    """
    policies = []
    for network in networks if precision != "float32" else ():
        layers = list(flat_layers(network))
        last = max((number for number, layer in enumerate(layers) if layer.weights), default=0)
        for layer in layers[:last]:
            if not hard_to_differentiate(layer):
                # A wrapper, such as SpectralNormalization, and what it wraps.
                policies += [(part, part.dtype_policy) for part in layer._flatten_layers()]
    try:
        for layer, _ in policies:
            layer.dtype_policy = precision
        yield
    finally:
        for layer, policy in policies:
            layer.dtype_policy = policy


def hard_to_differentiate(layer) -> bool:
    """Whether a layer resizes in a way whose gradient XLA or bfloat16 lacks, silently or not."""
    if isinstance(layer, keras.layers.UpSampling2D):
        return layer.interpolation not in ("nearest", "bilinear")
    return isinstance(layer, keras.layers.Resizing) and layer.interpolation != "bilinear"


def _first_gpu():
    """Name and compute capability of the GPU that trains, None where there is or has none."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return None, None
    details = tf.config.experimental.get_device_details(gpus[0])
    return details.get("device_name", "a GPU"), details.get("compute_capability")


def _cpu_flags() -> list[str]:
    return CPU_FACTS.read_text(encoding="utf-8").split() if CPU_FACTS.is_file() else []


def _divisors(number) -> list[int]:
    return [d for d in range(1, number + 1) if number % d == 0]
