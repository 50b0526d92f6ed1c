"""Lesson 4's training on several machines: a parent process that watches, a child that trains.

TensorFlow may wait for ever for a machine that is gone, or abort; so the parent says in one
sentence what happened.
"""

import contextlib
import json
import multiprocessing
import os
import signal
import sys
import threading

import nbformat

from helpers.machine import ROOT
from helpers.refused import Refused, Stopped

PATIENCE = 60  # seconds until all machines must have answered
AGAIN = "Start it again on all of them; it goes on after the last finished epoch."
PARAMETERS = ("parameters", "further-parameters")
# The cells that train have one of these, and the last one saves what was trained.
MARKS = ("helpers.open_run(", "model = DCGAN(", "model.fit(")
LAST_MARK = "helpers.save_gif("


def read_task() -> str:
    """Which machine of how many this is, as TF_CONFIG says it or Slurm; "" for one alone.

    Raises:
        Refused: TF_CONFIG is not what TensorFlow wants.
    """
    if "TF_CONFIG" not in os.environ:
        if "SLURM_PROCID" not in os.environ or os.environ.get("SLURM_STEP_NUM_TASKS", "1") == "1":
            return ""
        return (
            f"task {os.environ['SLURM_PROCID']} of {os.environ['SLURM_STEP_NUM_TASKS']}, by Slurm"
        )
    where = "; docs/several-devices.md shows one."
    try:
        config = json.loads(os.environ["TF_CONFIG"])
    except ValueError:
        raise Refused(f"TF_CONFIG is no JSON{where}") from None
    try:
        cluster, kind = dict(config["cluster"]), config["task"]["type"]
        index, count = int(config["task"]["index"]), sum(len(each) for each in cluster.values())
    except (KeyError, TypeError, ValueError):
        raise Refused(
            'TF_CONFIG needs "cluster" with lists of addresses, and "task" with type and '
            f"index{where}"
        ) from None
    if not 0 <= index < len(cluster.get(kind, [])):
        raise Refused(
            f"TF_CONFIG says that this is {kind} {index}, but its cluster has "
            f"{len(cluster.get(kind, []))} of that kind, counted from 0{where}"
        )
    tasks = os.environ.get("SLURM_STEP_NUM_TASKS", str(count))
    if tasks != str(count):
        raise Refused(f"TF_CONFIG names {count} workers, and Slurm has started {tasks}{where}")
    return f"{kind} {index} of {count} machines" if count > 1 else ""


def train(parameters: dict) -> None:
    """Lesson 4 with these parameters, here and on the other machines; ends in one sentence.

    Raises:
        Refused: of the child, or another machine does not answer, or TensorFlow gave up.
    """
    task = read_task()
    print(f"This is {task}." if task else "This machine trains alone; TF_CONFIG would name others.")
    if task:
        if parameters["DEVICES"] != 1:
            raise Refused("--devices is for one machine; several take all GPUs that each has.")
        parameters = parameters | {"DEVICES": "machines"}
    # A process that is killed leaves things behind, of which Python would warn.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker:UserWarning")
    here, there = multiprocessing.Pipe()
    spawned = multiprocessing.get_context("spawn")
    child = spawned.Process(target=_child, args=(there, parameters))
    child.start()
    there.close()
    said = ""
    try:
        here.recv()  # TensorFlow is there
        if not here.poll(PATIENCE):
            child.kill()
            raise Refused(
                f"Not all machines have answered within {PATIENCE} seconds. Is the command running "
                "on each, with the same addresses in TF_CONFIG, and can each reach the others?"
            )
        here.recv()  # all machines are there
        said = here.recv()
    except EOFError:
        pass
    except KeyboardInterrupt:
        said = "Stopped. Start it again on all machines; it goes on after the last finished epoch."
    child.join()
    if said:
        print()  # behind the progress bar
        raise Refused(said)
    if child.exitcode:
        name = signal.Signals(-child.exitcode).name if child.exitcode < 0 else child.exitcode
        raise Refused(
            f"The training here ended with {name}; perhaps another machine ended. {AGAIN}"
        )


def _child(connection, parameters):
    """Train, and send what the parent waits for: a word at two stages, and a sentence to say."""
    import tensorflow as tf

    from helpers import open_run, prepare
    from helpers.training.machines import is_chief, open_machines, require_agreement

    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
    try:
        connection.send("started")
        if parameters["DEVICES"] != "machines":
            connection.send("connected")
            run_lesson(parameters, saves=True)
        else:
            machines = open_machines()  # waits for all
            connection.send("connected")
            if is_chief(machines):  # it makes the images where they are missing
                prepare(open_run(parameters["DATASET"], 0, parameters["RUN_NAME"]))
            else:
                print("All machines are there; the first one says how far the training is.")
                sys.stdout = open(os.devnull, "w")  # noqa: SIM115
            require_agreement(machines, "program", b"prepared")
            run_lesson(parameters, saves=is_chief(machines))
            with contextlib.suppress(tf.errors.OpError):  # another one may have ended just now
                require_agreement(machines, "program", b"done")  # who ends early disturbs others
    except (ValueError, Stopped, OSError) as sentence:  # Refused is a ValueError
        connection.send(str(sentence))
    except tf.errors.OpError as error:
        kind = type(error).__name__
        connection.send(f"Another machine no longer answers ({kind}). {AGAIN}")
    connection.close()
    sys.stdout.flush()
    os._exit(0)  # for TensorFlow would wait for machines that are gone


def run_lesson(parameters: dict, saves=False) -> None:
    """Lesson 4's cells that train, with these parameters by name.

    Args:
        saves: the cell that saves networks and GIF is run, too.
    """
    notebook = nbformat.read(ROOT / "notebooks" / "04_training.ipynb", as_version=4)
    marks = (*MARKS, LAST_MARK) if saves else MARKS
    names = {}
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if cell.cell_type != "code":
            continue
        if any(tag in PARAMETERS for tag in tags):
            exec(cell.source, names)
            names |= parameters
        elif "taught" in tags or any(mark in cell.source for mark in marks):
            exec(compile(cell.source, "lesson 4", "exec"), names)
