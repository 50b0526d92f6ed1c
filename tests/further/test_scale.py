"""The lesson on two devices: also on own pictures in colour, both trainings are the same one."""

import re

import numpy as np

import helpers
from helpers.machine import ROOT
from tests.test_lessons import execute, printed

LESSON = ROOT / "notebooks" / "further" / "scale.ipynb"


def test_own_pictures_in_colour(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    for number in range(260):
        level = rng.integers(40, 210, (1, 1, 3))
        picture = np.clip(rng.normal(level, 20, (16, 16, 3)), 0, 255).astype(np.uint8)
        helpers.save_png(tmp_path / "pictures" / f"{number}.png", picture)
    monkeypatch.setenv("DCGAN_RUNS", str(tmp_path / "runs"))
    executed = execute(LESSON, LESSON.parent, DATASET=str(tmp_path / "pictures"), IMAGE_SIZE=16)
    text = printed(executed)
    assert "their mean: 0.0 of the right gradient's length" in text
    assert float(re.search(r"batch normalisation by halves: ([\d.]+)", text)[1]) > 0.001
    steps = re.findall(r"(?m)^ +\d  +\d+\.\d+ +\d+\.\d+ +(\S+)$", text)
    assert len(steps) == 5 and all(float(difference) < 1e-4 for difference in steps)
