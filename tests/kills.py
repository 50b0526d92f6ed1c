"""Kill lesson 4's training at random moments and compare with one that nobody killed.

python -m tests.kills 50 [seed]
python -m tests.kills machines 10 [seed]

Prints a line per kill and ends with exit code 1 if a training that was killed differs in a bit.
The second command kills one of two processes that train together, at random, and starts both again;
it ends with exit code 1 where the other one does not end by itself or more than an epoch is lost.
"""

import hashlib
import json
import multiprocessing
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from io import BytesIO
from pathlib import Path

import h5py

from helpers.machine import ROOT
from helpers.run import DISTANCE, HISTORY, PREVIEWS, checkpoint_files, read_record

PARAMETERS = {"EPOCHS": 3, "BATCH_SIZE": 64, "RUN_NAME": "killed"}  # 8 steps an epoch
STARTED = "epochs are done"
PATIENCE = 300  # seconds until a process that does not start or end is given up

# Each training is a process of its own, forked from one that has imported TensorFlow: importing it
# takes longer than training does.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["helpers", "tests.lesson4"])


def run_lesson(folder, parameters):
    """What a process does: lesson 4's training on small networks, with its runs in `folder`."""
    os.environ |= {"DCGAN_PROFILE": "tiny", "DCGAN_RUNS": str(folder)}
    log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(log, stream)
    from tests import lesson4

    lesson4.make_networks(folder / PARAMETERS["RUN_NAME"], feature_maps=4)
    lesson4.run(PARAMETERS | parameters)


class Training:
    """Lesson 4 in a process of its own, with its runs in `folder`."""

    def __init__(self, folder, **parameters):
        folder.mkdir(exist_ok=True)
        self.log = folder / "log.txt"
        self.log.write_bytes(b"")
        self.process = PROCESSES.Process(target=run_lesson, args=(folder, parameters))
        self.process.start()

    def text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_until(self, step):
        """Wait until that many steps are taken, as the progress bar says, or the process ends."""
        end = time.monotonic() + PATIENCE
        while steps_shown(self.text()) < step and self.process.is_alive():
            if time.monotonic() > end:
                self.kill()
                raise RuntimeError(self.text())
            time.sleep(0.01)

    def kill(self) -> bool:
        """SIGKILL; False if the process had already ended."""
        running = self.process.is_alive()
        self.process.kill()
        self.process.join()
        return running

    def interrupt(self) -> str:
        """SIGINT, as from the stop button or Ctrl-C; what was printed until the end."""
        os.kill(self.process.pid, signal.SIGINT)
        return self.finish(1)

    def finish(self, code=0) -> str:
        """Wait for the end; what was printed."""
        self.process.join(PATIENCE)
        if self.process.exitcode != code:
            self.kill()
            raise RuntimeError(self.text())
        return self.text()


def steps_shown(text) -> int:
    """The steps that a process has taken, as its progress bar says; -1 before it trains."""
    _, started, bar = text.partition(STARTED)
    return int((re.findall(r"(\d+)/\d+", bar) or [0])[-1]) if started else -1


def state(folder) -> dict:
    """Everything that two equal trainings must agree on: the SHA-256 of each part, by its name."""
    run = folder / PARAMETERS["RUN_NAME"]
    newest = checkpoint_files(run)[-1]
    record = read_record(newest)
    parts = {key: repr(record[key]).encode() for key in sorted(record.keys() - {"id"})}
    with zipfile.ZipFile(newest) as archive:
        weights = h5py.File(BytesIO(archive.read("model.weights.h5")))

    def add(name, item):
        if isinstance(item, h5py.Dataset):
            parts[name] = item[()].tobytes()

    weights.visititems(add)
    for path in [run / HISTORY, run / DISTANCE, *sorted((run / PREVIEWS).iterdir())]:
        parts[path.name] = path.read_bytes()
    return {name: hashlib.sha256(content).hexdigest() for name, content in parts.items()}


def differences(one, other) -> list[str]:
    """The names under which two states differ."""
    return [name for name in sorted(one | other) if one.get(name) != other.get(name)]


def finish_with_kills(folder, kills, generator) -> list[str]:
    """Start a training again and again until it ends; kill the first `kills` of the processes.

    Each is killed shortly after one of its first 16 steps, chosen at random.

    Returns:
        For each kill what was saved by then, and what was half written.
    """
    killed = []
    while True:
        training = Training(folder)
        if len(killed) == kills:
            training.finish()
            return killed
        training.wait_until(generator.randrange(16))
        time.sleep(generator.uniform(0, 0.3))
        if not training.kill():
            return killed
        run = folder / PARAMETERS["RUN_NAME"]
        saved = [path.stem for path in checkpoint_files(run)]
        partial = [path.name for path in run.rglob(".*partial*")]
        killed.append(f"saved {', '.join(saved) or 'nothing'}; half written {partial or 'nothing'}")


class Machines:
    """`helpers.course train` in two processes that train together, as on two machines."""

    def __init__(self, folder, epochs, count=2):
        ports = free_ports(count)
        cluster = {"worker": [f"localhost:{port}" for port in ports]}
        self.logs = [folder / f"machine{number}.txt" for number in range(count)]
        command = [sys.executable, "-m", "helpers.course", "train", "--run", "killed"]
        command += ["--epochs", str(epochs), "--batch-size", str(PARAMETERS["BATCH_SIZE"])]
        self.processes = []
        for number, log in enumerate(self.logs):
            task = {"cluster": cluster, "task": {"type": "worker", "index": number}}
            more = {"DCGAN_PROFILE": "tiny", "DCGAN_RUNS": str(folder)}
            more |= {"TF_CONFIG": json.dumps(task), "CUDA_VISIBLE_DEVICES": ""}
            with open(log, "wb") as output:
                self.processes.append(
                    subprocess.Popen(
                        command, cwd=ROOT, env=os.environ | more, stdout=output,
                        stderr=subprocess.STDOUT, start_new_session=True,
                    )
                )  # fmt: skip

    def text(self, number=0) -> str:
        return self.logs[number].read_text(encoding="utf-8", errors="replace")

    def wait_until(self, step):
        """Wait until that many steps are taken, as the first one's progress bar says."""
        end = time.monotonic() + PATIENCE
        while steps_shown(self.text()) < step and self.processes[0].poll() is None:
            if time.monotonic() > end:
                self.kill(0), self.kill(1)
                raise RuntimeError(self.text(0) + self.text(1))
            time.sleep(0.05)

    def kill(self, number) -> bool:
        """SIGKILL to all of one machine; False if it had already ended."""
        running = self.processes[number].poll() is None
        if running:
            os.killpg(self.processes[number].pid, signal.SIGKILL)
            self.processes[number].wait()
        return running

    def finish(self, number=0) -> str:
        """Wait for the end of one; what it printed."""
        try:
            self.processes[number].wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill(0), self.kill(1)
        return self.text(number)


def free_ports(count) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def kill_machines(kills, generator):
    """Kill one of two, again and again; the other must end by itself and lose one epoch at most."""
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        run = folder / PARAMETERS["RUN_NAME"]
        lesson4_networks(run)
        epochs = 2
        for number in range(1, kills + 1):
            before = [path.stem for path in checkpoint_files(run)]
            machines = Machines(folder, epochs)
            machines.wait_until(generator.randrange(1, 12))
            time.sleep(generator.uniform(0, 0.5))
            victim = generator.randrange(2)
            saved = [path.stem for path in checkpoint_files(run)]
            killed, start = machines.kill(victim), time.monotonic()
            said = re.findall(r"\n.*Start it again.*", machines.finish(1 - victim))
            took = time.monotonic() - start
            after = [path.stem for path in checkpoint_files(run)]
            fine = (not killed or len(said) == 1) and max(after) >= max(saved)
            failures += not fine
            epochs += 1
            print(
                f"kill {number}: machine {victim}, saved {before and before[-1]} before, "
                f"{after[-1]} after; the other ended within {took:.0f} s: {''.join(said).strip()}",
                flush=True,
            )
        machines = Machines(folder, epochs)
        text = machines.finish(0) + machines.finish(1)
        ended = checkpoint_files(run)[-1].stem == f"epoch_{epochs:04d}"
        failures += not ended
        print(f"{kills} kills, {failures} failures; both again: {text.strip()[-80:]!r}")
    sys.exit(bool(failures))


def lesson4_networks(folder):
    """Small networks in a run's folder, made in a process of their own."""
    code = "import sys, pathlib; from tests import lesson4; "
    code += "lesson4.make_networks(pathlib.Path(sys.argv[1]), 4)"
    subprocess.run([sys.executable, "-c", code, folder], cwd=ROOT, check=True)


def main():
    if sys.argv[1] == "machines":
        seed = int(sys.argv[3]) if len(sys.argv) > 3 else 0
        kill_machines(int(sys.argv[2]), random.Random(seed))
    kills, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    generator = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        Training(folder / "whole").finish()
        reference = state(folder / "whole")
        print(f"One training without a kill: {len(reference)} arrays and files.", flush=True)
        done, failures, number = 0, 0, 0
        while done < kills:
            number += 1
            place = folder / f"killed{number}"
            moments = finish_with_kills(place, min(10, kills - done), generator)
            for moment in moments:
                done += 1
                print(f"kill {done}: {moment}", flush=True)
            different = differences(reference, state(place))
            failures += bool(different)
            print(f"training {number}: {len(moments)} kills, differs in {different or 'nothing'}.")
    print(f"{done} kills, {number} trainings, {failures} of them differ.")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
