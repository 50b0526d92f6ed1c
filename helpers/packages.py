"""Packages a machine may lack: install the harmless ones in Colab and Kaggle, else say how."""

import importlib
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec

from helpers.environment import hosting

NEEDED = ("tensorflow", "keras", "numpy", "matplotlib", "imageio", "IPython")
# Installing anything else into a running hosted session can break it.
HARMLESS = {"imageio", "matplotlib"}
OLDEST_KERAS = (3, 13)  # an older one cannot read the models that come with the course


def require_packages() -> None:
    """Make sure that everything the notebooks import is there.

    In Colab and Kaggle, missing packages of HARMLESS are installed; Colab's own list lacks none.
    Nothing is ever installed elsewhere, and never a newer version of what is there.

    Raises:
        ImportError: one sentence: what is missing or too old, and how to get it.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    place = hosting()
    if place and missing and HARMLESS.issuperset(missing):
        print(f"Installing {', '.join(missing)} ...", flush=True)
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *missing], check=True)
        importlib.invalidate_caches()
    elif place and missing:
        raise ImportError(
            f"This {place} machine has no {', '.join(missing)}; choose one with a GPU or a plain "
            "CPU (a TPU machine has no TensorFlow), then run this cell again."
        )
    elif missing:
        raise ImportError(
            f"This Python has no {', '.join(missing)}. In the course's folder run "
            "`python -m pip install -r requirements.txt` with it, or choose the Python of "
            "`.venv`, which `make run` sets up, as the notebook's kernel."
        )
    _require_keras(version("keras"))


def _require_keras(found):
    if tuple(int(part) for part in found.split(".")[:2]) < OLDEST_KERAS:
        raise ImportError(
            f"This machine has Keras {found}; the course needs {OLDEST_KERAS[0]}.{OLDEST_KERAS[1]} "
            "or newer. Run `%pip install --upgrade keras` in a new cell, restart the session, then "
            "run this cell again."
        )
