"""Keras's InceptionV3, where it can be had within seconds of asking."""

import os
import socket
from pathlib import Path

import keras

from helpers.data.sources import NETWORK_TIMEOUT, first_line, require_server

SIDE = 299  # pixels, as the network was trained
FEATURES = 2048
WEIGHTS = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
_SERVER = f"https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/{WEIGHTS}"


def load_inception() -> keras.Model | None:
    """InceptionV3 without its last layer, from Keras's cache or downloaded; else says why not.

    Szegedy et al. (2015), arXiv 1512.00567, trained on ImageNet; 88 MB. A server that does not
    answer, or stalls, is given up after 10 seconds.

    Returns:
        A model from float32 (N, 299, 299, 3) in [-1, 1] to features float32 (N, 2048), or None.
    """
    keras_folder = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(NETWORK_TIMEOUT)  # Keras's own download would wait for ever
    try:
        if not (keras_folder / "models" / WEIGHTS).is_file():
            require_server(_SERVER, "keras.applications")
        return keras.applications.InceptionV3(include_top=False, pooling="avg", weights="imagenet")
    except Exception as error:  # offline, stalled, refused, no space, damaged: all step down
        reason = f"{type(error).__name__}: {first_line(error)}"
        print(f"Not Keras's InceptionV3: its weights could not be had ({reason}).")
        return None
    finally:
        socket.setdefaulttimeout(patience)
