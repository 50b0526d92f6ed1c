"""Kill lesson 4's training at random moments and compare with one that nobody killed.

python -m tests.kills 50 [seed]

Prints a line per kill and ends with exit code 1 if a training that was killed differs in a bit.
"""

import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from helpers.machine import ROOT
from helpers.files import load_arrays

PARAMETERS = {"EPOCHS": 12, "BATCH_SIZE": 32}  # 16 steps an epoch in profile tiny
STARTED = "steps are done"
PATIENCE = 300  # seconds until a process that does not start or end is given up


class Training:
    """Lesson 4 in a process of its own, with its runs in `folder`."""

    def __init__(self, folder, program=(sys.executable, "-m", "tests.lesson4"), **parameters):
        self.log = Path(folder) / "log.txt"
        folder.mkdir(exist_ok=True)
        self.file = open(self.log, "wb")  # noqa: SIM115
        self.process = subprocess.Popen(
            [*program, *(f"{name}={value!r}" for name, value in (PARAMETERS | parameters).items())],
            cwd=ROOT,
            env=os.environ | {"DCGAN_PROFILE": "tiny", "DCGAN_RUNS": str(folder)},
            stdout=self.file,
            stderr=subprocess.STDOUT,
        )

    def text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_until(self, reached) -> bool:
        """Wait until `reached(printed text)`; False if the process has ended before."""
        end = time.monotonic() + PATIENCE
        while not reached(self.text()):
            if self.process.poll() is not None:
                return reached(self.text())
            if time.monotonic() > end:
                self.kill()
                raise RuntimeError(self.text())
            time.sleep(0.01)
        return True

    def kill(self) -> bool:
        """SIGKILL; False if the process had already ended."""
        running = self.process.poll() is None
        self.process.kill()
        self.process.wait()
        self.file.close()
        return running

    def finish(self) -> str:
        """Wait for the end; what was printed."""
        code = self.process.wait(PATIENCE)
        self.file.close()
        if code:
            raise RuntimeError(self.text())
        return self.text()


def run_folder(folder) -> Path:
    (run,) = [path.parent for path in folder.glob("*/dataset.json")]
    return run


def state(folder) -> dict:
    """Everything that two equal trainings must agree on, by name."""
    run = run_folder(folder)
    newest = max((run / "checkpoints").glob("step_*.npz"))
    arrays = load_arrays(newest)
    about = json.loads(str(arrays.pop("about")))
    arrays["history"] = np.array(json.dumps(about["history"]))
    for path in [run / "history.csv", run / "distance.json", *sorted((run / "previews").iterdir())]:
        arrays[path.name] = np.frombuffer(path.read_bytes(), np.uint8)
    return {"step": np.array(newest.name)} | arrays


def differences(one, other) -> list[str]:
    """The names under which two states differ."""
    names = sorted(one.keys() | other.keys())
    return [n for n in names if n not in one or n not in other or not _equal(one[n], other[n])]


def _equal(one, other):
    return (
        one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    )


def finish_with_kills(folder, kills, generator) -> list[str]:
    """Start a training again and again until it ends; kill the first `kills` of the processes.

    Each is killed up to half a second after one of its first 24 steps, chosen at random.

    Returns:
        For each kill what was saved by then, and what was half written.
    """
    killed = []
    while True:
        training = Training(folder)
        if len(killed) == kills:
            training.finish()
            return killed
        step, pause = generator.randrange(24), generator.uniform(0, 0.5)
        training.wait_until(lambda text, step=step: steps_shown(text) >= step)
        time.sleep(pause)
        if not training.kill():
            return killed
        run = run_folder(folder)
        saved = [path.stem for path in sorted((run / "checkpoints").glob("step_*.npz"))]
        partial = [path.name for path in run.rglob(".*partial*")]
        killed.append(f"saved {', '.join(saved) or 'nothing'}; half written {partial or 'nothing'}")


def steps_shown(text) -> int:
    """The steps that a process has taken, as its progress bar says; -1 before it trains."""
    _, started, bar = text.partition(STARTED)
    return int((re.findall(r"(\d+)/\d+", bar) or [0])[-1]) if started else -1


def main():
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
