"""Where am I: the course's folders, whose machine this is, its device, and the profile.

Imports no package at the top, so `python helpers/machine.py` checks a Python before anything is
installed.
"""

import os
import platform
import sys
from pathlib import Path

OLDEST_PYTHON, NEWEST_PYTHON = (3, 11), (3, 13)


def require_python(version=sys.version_info):
    """Exit with one sentence where TensorFlow has no release for this Python."""
    if not OLDEST_PYTHON <= tuple(version[:2]) <= NEWEST_PYTHON:
        sys.exit(
            "This course runs on Python {}.{} to {}.{}, and this is Python {}.{}: TensorFlow has "
            "no release for it. Install one of those and name it, for instance: "
            "make run PYTHON=python3.12".format(*OLDEST_PYTHON, *NEWEST_PYTHON, *version[:2])
        )


require_python()

from dataclasses import dataclass  # noqa: E402  below, for a Python too old to read what follows

ROOT = Path(__file__).resolve().parents[1]
ASSETS = ROOT / "assets"
OLDEST_KERAS = (3, 13)  # an older one cannot read the models that come with the course
GPU_MENUS = {
    "Colab": "Runtime > Change runtime type > T4 GPU",
    "Kaggle": "Settings > Accelerator > GPU",
}


@dataclass(frozen=True)
class Profile:
    """How much work a run does; a profile sets these numbers and nothing else.

    Attributes:
        name: `tiny` (tests), `quick` (a laptop CPU) or `full` (a GPU).
        train_images: images kept for training; None keeps all there are.
        held_out_images: images held out for evaluation; None keeps all there are.
        epochs: of lesson 4.
        samples: images generated for the scores of lesson 5.
        epoch_images: what an epoch holds at least; a smaller set is gone through several times.
    """

    name: str
    train_images: int | None
    held_out_images: int | None
    epochs: int
    samples: int
    epoch_images: int


PROFILES = {
    "tiny": Profile("tiny", 512, 200, epochs=2, samples=200, epoch_images=512),
    "quick": Profile("quick", 10_000, 2_000, epochs=10, samples=2_000, epoch_images=5_000),
    "full": Profile("full", None, None, epochs=6, samples=10_000, epoch_images=20_000),
}


def import_tensorflow() -> None:
    """Import TensorFlow with oneDNN, and without the start-up lines that it writes past Python.

    On x86-64 processors without AVX-512, TensorFlow leaves oneDNN off by itself, and trains at half
    the speed. A TF_ENABLE_ONEDNN_OPTS that is set already is kept.

    Raises:
        ImportError: no TensorFlow here, or a Keras too old; one sentence.
    """
    if platform.machine() in ("x86_64", "AMD64") and "TF_ENABLE_ONEDNN_OPTS" not in os.environ:
        os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
        if "tensorflow" in sys.modules:
            print(
                "TensorFlow was imported before the course, so it may train at half its speed on "
                "this CPU; restart the kernel and run the set-up cell first."
            )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import keras
        import tensorflow  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"This Python has no {error.name}. Run `python -m pip install -r requirements.txt` "
            "in the course's folder, or choose the Python of `.venv`, which `make run` sets up, "
            "as the notebook's kernel; in Colab or Kaggle choose a machine with a GPU or a plain "
            "CPU, for one with a TPU has no TensorFlow."
        ) from error
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)
    if tuple(int(part) for part in keras.__version__.split(".")[:2]) < OLDEST_KERAS:
        raise ImportError(
            f"This machine has Keras {keras.__version__}; the course needs 3.13 or newer. Run "
            "`%pip install --upgrade keras` in a new cell, restart the session, run this again."
        )


def hosting() -> str:
    """Whose machine this is: "Colab", "Kaggle", or "" for one's own."""
    if "google.colab" in sys.modules:
        return "Colab"
    return "Kaggle" if "KAGGLE_KERNEL_RUN_TYPE" in os.environ else ""


def has_gpu() -> bool:
    """True where TensorFlow sees at least one GPU."""
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def current_profile() -> Profile:
    """The profile in force: DCGAN_PROFILE, else `full` with a GPU and `quick` without.

    Raises:
        ValueError: DCGAN_PROFILE names no profile.
    """
    name = os.environ.get("DCGAN_PROFILE") or ("full" if has_gpu() else "quick")
    if name not in PROFILES:
        raise ValueError(
            f"DCGAN_PROFILE is {name!r}, which is no profile; use one of {', '.join(PROFILES)}."
        )
    return PROFILES[name]


def runs_folder() -> Path:
    """The folder of all runs: DCGAN_RUNS, from the repository's root, else `runs/` there."""
    return ROOT / (os.environ.get("DCGAN_RUNS") or "runs")


def short(path) -> str:
    """`path` without the part that depends on the machine, for printing."""
    path = Path(path)
    for base, prefix in ((runs_folder(), "runs"), (ROOT, "")):
        if path.is_relative_to(base):
            return (Path(prefix) / path.relative_to(base)).as_posix()
    return path.name


def describe_machine() -> None:
    """Print versions, device and profile; where a GPU is for the asking, how to get one."""
    import keras
    import tensorflow as tf

    profile = current_profile()
    device = "GPU" if has_gpu() else f"CPU, {os.cpu_count()} cores"
    place = hosting()
    print(
        f"Python {platform.python_version()}, TensorFlow {tf.__version__}, "
        f"Keras {keras.__version__}, {place or platform.system()}, {device}"
    )
    size = "all images" if profile.train_images is None else f"{profile.train_images:,} images"
    print(f"Profile {profile.name}: {size}, {profile.epochs} epochs")
    if place and not has_gpu():
        print(f"No GPU here. For one: {GPU_MENUS[place]}, then run again.")
