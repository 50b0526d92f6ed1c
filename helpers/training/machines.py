"""Several machines that train together: who is here, who writes, which images are whose."""

import functools
import os
import zlib

import numpy as np
import tensorflow as tf

from helpers.refused import Refused


@functools.cache
def open_machines() -> tf.distribute.Strategy:
    """All GPUs, or the CPU, of every machine that TF_CONFIG or Slurm names; waits for all of them.

    It must be called before TensorFlow starts.
    """
    be_quiet()
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    if "TF_CONFIG" not in os.environ:
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(**_tasks_without_gpus())
    return tf.distribute.MultiWorkerMirroredStrategy(resolver)


def _tasks_without_gpus():
    """What Slurm's resolver must be told where there is no GPU, for it divides by their number."""
    if tf.config.list_physical_devices("GPU"):
        return {}
    tasks = max(
        int(each.split("(")[0]) for each in os.environ["SLURM_STEP_TASKS_PER_NODE"].split(",")
    )
    return {"gpus_per_node": tasks, "gpus_per_task": 1, "auto_set_gpu": False}


def is_chief(strategy) -> bool:
    """Whether this machine writes the files: the chief does, or where there is none, worker 0."""
    resolver = strategy.cluster_resolver
    return not resolver or _number(resolver) == 0


def _number(resolver) -> int:
    """The number of this machine among all; where one is called chief, it comes first."""
    cluster = resolver.cluster_spec().as_dict()
    return resolver.task_id + ("chief" in cluster and resolver.task_type != "chief")


def require_agreement(strategy, what, value: bytes) -> None:
    """Wait for all machines, and refuse to go on where they do not have the same value."""
    if not strategy.cluster_resolver:
        return
    mine = tf.constant([zlib.crc32(value)], tf.int64)

    @tf.function
    def gather():
        return strategy.run(lambda: tf.distribute.get_replica_context().all_gather(mine, axis=0))

    everyones = strategy.experimental_local_results(gather())[0].numpy()
    if np.ptp(everyones):
        raise Refused(
            f"The machines do not start from the same {what}; let all of them work in one runs/ "
            "folder that they share (DCGAN_RUNS), or give each a copy of it."
        )


def part_of_this_machine(batch_size, strategy=None) -> slice:
    """Where in a global batch the images of this machine stand.

    Raises:
        Refused: the replicas do not divide the batch.
    """
    if strategy is None or strategy.num_replicas_in_sync == 1:
        return slice(0, batch_size)
    require_equal_parts(batch_size, strategy.num_replicas_in_sync)
    resolver = strategy.cluster_resolver
    number = _number(resolver) if resolver else 0
    local = len(strategy.extended.worker_devices)
    count = batch_size // strategy.num_replicas_in_sync * local
    return slice(number * count, (number + 1) * count)


def require_equal_parts(batch_size, replicas):
    """Refuse a batch that the replicas do not divide."""
    if batch_size % replicas:
        raise Refused(
            f"A batch of {batch_size} images cannot be divided among {replicas} devices; set "
            f"BATCH_SIZE to a multiple of {replicas}."
        )


def be_quiet():
    tf.get_logger().setLevel("ERROR")  # it would tell of every sum over the devices
