"""Several devices: which ones, one loop over all of them, and what makes them act as one.

TensorFlow's `tf.distribute` moves the gradients. A replica is a copy of the networks on one device;
it gets its slice of each global batch.
"""

import inspect
from contextlib import contextmanager, suppress

import keras
import numpy as np
import tensorflow as tf

from helpers.networks import flat_layers
from helpers.refused import Refused
from helpers.training.machines import (
    be_quiet,
    is_chief,
    open_machines,
    require_agreement,
    require_equal_parts,
)

LOSSES = ("discriminator_loss", "generator_loss")
TRIAL_LOGITS = np.linspace(-4, 2, 7, dtype=np.float32)[:, None]


def open_devices(devices=1) -> tf.distribute.Strategy:
    """The devices that train; networks, model and optimizers are made under its `scope()`.

    Args:
        devices: 1; "all" for all GPUs of this machine; "cpu:2" to split the CPU in two, for trying;
            "machines" for what `python -m helpers.course train` has found.

    Raises:
        Refused: another value; no GPU; or the CPU can no longer be split.
    """
    kind, _, number = str(devices).partition(":")
    if devices == 1:
        return tf.distribute.get_strategy()
    if devices == "machines":
        return open_machines()
    if devices == "all":
        gpus = [gpu.name for gpu in tf.config.list_logical_devices("GPU")]
        if not gpus:
            raise Refused(
                'DEVICES is "all", and TensorFlow sees no GPU here; take 1, or "cpu:2" to try what '
                "two devices do."
            )
        return _mirrored(gpus) if len(gpus) > 1 else tf.distribute.get_strategy()
    if kind != "cpu" or not number.isdecimal() or int(number) < 2:
        raise Refused(f'DEVICES is {devices!r}; take 1, "all" for all GPUs, or "cpu:2".')
    parts = [tf.config.LogicalDeviceConfiguration()] * int(number)
    with suppress(RuntimeError):  # TensorFlow has started, perhaps with these parts
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], parts)
    cpus = [cpu.name for cpu in tf.config.list_logical_devices("CPU")]
    if len(cpus) != int(number):
        raise Refused(
            f"DEVICES is {devices!r}, but TensorFlow has started already and the CPU is in "
            f"{len(cpus)}; restart the kernel and run all cells."
        )
    return _mirrored(cpus, tf.distribute.ReductionToOneDevice())


def _mirrored(devices, cross_device_ops=None):
    print(f"{len(devices)} devices train together, each with its share of every batch.")
    be_quiet()
    return tf.distribute.MirroredStrategy(devices, cross_device_ops)


def replicas_of(model) -> int:
    """How many devices train a model."""
    return model.distribute_strategy.num_replicas_in_sync


def fit_on_replicas(
    model, batches, steps_per_epoch, epochs, initial_epoch=0, callbacks=None, **unknown
):
    """What `keras.Model.fit` does, for any strategy; Keras 3's knows no several machines.

    Args:
        batches: global ones; of several machines each has its own part of them.

    Returns:
        Keras's `History`. The logs are the means over the replicas.
    """
    for name in unknown:
        raise Refused(f"On several devices, fit has no {name}; leave it out, or set DEVICES = 1.")
    strategy, slices = model.distribute_strategy, iter(_slices(batches, model.distribute_strategy))
    losses = losses_of_all_replicas(model)
    if not is_chief(strategy):  # it alone writes
        callbacks = [each for each in callbacks if getattr(each, "on_every_machine", False)]
    require_agreement(strategy, "checkpoint and precision", _state(model, initial_epoch))

    def on_a_replica(data):
        logs = model.train_step(data)
        return tf.distribute.get_replica_context().all_reduce("MEAN", logs) if logs else {}

    @tf.function(autograph=False)
    def step(data):
        with acting_as_one(model, losses):
            logs = strategy.run(on_a_replica, args=(data,))
        return {name: strategy.experimental_local_results(logs[name])[0] for name in logs}

    told = keras.callbacks.CallbackList(
        callbacks, add_history=True, model=model, epochs=epochs, steps=steps_per_epoch, verbose=0
    )
    model.stop_training = False  # a callback may wish it
    told.on_train_begin()
    for epoch in range(initial_epoch, epochs):
        model.reset_metrics()
        told.on_epoch_begin(epoch)
        for batch in range(steps_per_epoch):
            told.on_train_batch_begin(batch)
            logs = {name: float(value) for name, value in step(next(slices)).items()}
            told.on_train_batch_end(batch, logs)
        told.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    told.on_train_end(logs)
    return model.history


def _state(model, epoch) -> bytes:
    weights = [*model.generator.get_weights(), *model.discriminator.get_weights()]
    return b"".join([f"{epoch} {model.precision}".encode(), *(each.tobytes() for each in weights)])


def _slices(batches, strategy):
    """The batches of this machine, each cut into one slice for each of its replicas."""
    local = len(strategy.extended.worker_devices)
    size = tf.nest.flatten(batches.element_spec)[0].shape[0]
    require_equal_parts(size, local)
    slices = batches.rebatch(size // local, drop_remainder=True)
    return strategy.distribute_datasets_from_function(lambda _: slices)


def require_no_clipping(optimizer):
    """Refuse an optimizer that clips: Keras clips the gradient of each replica by itself."""
    for name in ("clipnorm", "clipvalue", "global_clipnorm"):
        if getattr(optimizer, name) is not None:
            raise Refused(
                f"An optimizer has {name}, which on several devices clips something else than on "
                "one; leave it out, or set DEVICES = 1."
            )


@contextmanager
def acting_as_one(model, losses):
    """Within the block, the replicas of a model take the step that one device would take.

    Batch normalisation takes mean and variance of the global batch, and so do the losses.

    Args:
        losses: of `losses_of_all_replicas`.
    """
    norms = [
        layer
        for network in (model.generator, model.discriminator)
        for layer in flat_layers(network)
        if isinstance(layer, keras.layers.BatchNormalization) and not layer.synchronized
    ]
    try:
        for norm in norms:
            norm.synchronized = True
        for name, loss in losses.items():
            setattr(model, name, loss)
        yield
    finally:
        for norm in norms:
            norm.synchronized = False
        for name in losses:
            delattr(model, name)  # that of the class is seen again


def losses_of_all_replicas(model) -> dict:
    """The losses of a model's class, by name, as functions of the logits of one replica."""
    names = [name for name in LOSSES if hasattr(model, name)]
    return {name: _of_all_replicas(name, getattr(model, name), model) for name in names}


def _of_all_replicas(name, loss, model):
    """A loss of the global batch's logits, whose gradient is that by the replica's own ones.

    Keras's optimizers add up the gradients of all replicas, and so get the whole one.
    """
    replicas = replicas_of(model)
    trial = [tf.constant(TRIAL_LOGITS)] * len(inspect.signature(loss).parameters)
    alone = float(loss(*trial))
    with model.distribute_strategy.scope():
        share = float(loss(*trial)) / alone  # keras.losses divide by the number of replicas
    if not np.isclose(share, (1, 1 / replicas), rtol=1e-3).any():
        raise Refused(
            f"On {replicas} devices, Keras's losses are divided by their number and others are "
            f"not; {name} mixes both, so write it with one kind, or set DEVICES = 1."
        )

    def with_the_others(own):
        context = tf.distribute.get_replica_context()
        every = context.all_gather(tf.stop_gradient(own), axis=0)
        at, count = context.replica_id_in_sync_group, own.shape[0]
        return tf.concat([every[: at * count], own, every[(at + 1) * count :]], axis=0)

    return lambda *logits: loss(*map(with_the_others, logits)) / share


def replicas_here() -> int:
    """How many replicas run this line together; 1 outside `strategy.run`."""
    context = tf.distribute.get_replica_context()
    return context.num_replicas_in_sync if context else 1


def own_slice(values):
    """Of `values` for the global batch, those that belong to this replica."""
    if replicas_here() == 1:
        return values
    count = values.shape[0] // replicas_here()
    at = tf.distribute.get_replica_context().replica_id_in_sync_group
    return values[at * count : (at + 1) * count]


def summed(gradients):
    """The sums of gradients over all replicas, which is what an optimizer applies."""
    if replicas_here() == 1:
        return gradients
    gradients = [each for each in gradients if each is not None]
    return tf.distribute.get_replica_context().all_reduce("SUM", gradients)
