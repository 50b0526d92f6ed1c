"""What the tests of this folder share: pictures, archives, and the shape of a refusal."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from helpers.data.own_files import open_path
from helpers.machine import ROOT
from helpers.refused import Refused


def noise(count=60, side=40, channels=3):
    """Pictures uint8 (count, side, side, channels), each another."""
    shape = (count, side, side, channels)
    return np.random.default_rng(3).integers(0, 256, shape, np.uint8)


def encode(picture, form="PNG", **options):
    picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture.squeeze())
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def write_zip(path, entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            info = zipfile.ZipInfo()
            info.filename, info.compress_type = name, zipfile.ZIP_DEFLATED  # the name as it is
            archive.writestr(info, content)
    return path


def refused(action, *parts, kind=Refused):
    """Check that an action is refused in one sentence with these parts and no path of ours."""
    with pytest.raises(kind) as caught:
        action()
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".") and len(message) < 400, message
    assert "/tmp" not in message and str(ROOT) not in message and message[0] != "[", message
    for part in parts:
        assert part in message, f"{part!r} is not in {message!r}"


def opened(path, background="white"):
    """The pictures of a source that nobody has divided."""
    splits, _ = open_path(path, background)
    (found,) = splits.values()
    return found
