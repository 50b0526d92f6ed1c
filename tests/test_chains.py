"""Lessons 2 to 5, one after the other, on images that are not Fashion-MNIST.

Two chains run in `make test`, all in `make test-all`.
"""

import json
from types import SimpleNamespace

import imageio.v3 as iio
import numpy as np
import papermill
import pytest
from lessons import NOTEBOOKS, printed
from PIL import Image

LESSONS = sorted(NOTEBOOKS.glob("*.ipynb"))[1:]
SIGNS = '''
"""What the course uses of kagglehub, for a set that lies on this machine already."""

def dataset_download(name):
    return {folder!r}
'''


def noise(count, *shape):
    return np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)


def make_folder(folder):
    """Colour photographs and gray ones, of several sizes and kinds, in two classes."""
    for number in range(200):
        picture = Image.fromarray(noise(1, 40 + number % 30, 50, 3)[0] // 2 + number // 2)
        path = folder / "pets" / ("cats", "dogs")[number % 2] / f"{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number % 3:
            picture.save(path.with_suffix(".jpg"))
        else:
            picture.convert("L").save(path.with_suffix(".png"))
    return {"DATASET": str(folder / "pets"), "FEATURE_MAPS": 16}


def make_csv(folder, name="letters.csv", count=300):
    rows = noise(count, 784)
    rows = np.column_stack([np.arange(count) % 3, rows])
    header = ",".join(["label", *(f"pixel{n}" for n in range(1, 785))])
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(path, rows, "%d", ",", header=header, comments="")
    return {"DATASET": str(path)}


def make_npz(folder):
    np.savez(folder / "squares.npz", images=noise(300, 40, 40, 3), labels=np.arange(300) % 2)
    return {"DATASET": str(folder / "squares.npz"), "IMAGE_SIZE": 32}


def make_signs(folder):
    for split in ("train", "test"):
        make_csv(folder, f"kaggle/sign_mnist_{split}/sign_mnist_{split}.csv")
    (folder / "modules").mkdir()
    text = SIGNS.format(folder=str(folder / "kaggle"))
    (folder / "modules" / "kagglehub.py").write_text(text, encoding="utf-8")
    return {"DATASET": "sign_language_mnist"}


def in_all(make):
    return pytest.param(make, marks=pytest.mark.slow)


@pytest.fixture(
    scope="module",
    params=[
        lambda folder: {"DATASET": "emoji", "FEATURE_MAPS": 16},
        make_folder,
        in_all(make_csv),
        in_all(make_npz),
        in_all(make_signs),
        in_all(lambda folder: {"DATASET": "mnist"}),
        in_all(lambda folder: {"DATASET": "emoji", "IMAGE_SIZE": 32, "CHANNELS": 1}),
        in_all(lambda folder: {"DATASET": "fashion_mnist", "IMAGE_SIZE": 128}),
    ],
    ids=["emoji", "folder", "csv", "npz", "signs", "mnist", "gray emoji at 32", "128 pixels"],
)
def chain(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("chain")
    parameters = request.param(folder)
    texts = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DCGAN_RUNS", str(folder / "runs"))
        patch.setenv("PYTHONPATH", str(folder / "modules"))
        for lesson in LESSONS:
            executed = papermill.execute_notebook(
                lesson,
                None,
                parameters,
                cwd=NOTEBOOKS,
                kernel_name="python3",
                progress_bar=False,
            )
            texts.append(printed(executed))
    (run,) = (folder / "runs").iterdir()
    card = json.loads((run / "dataset.json").read_text(encoding="utf-8"))
    return SimpleNamespace(run=run, card=card, texts=texts, parameters=parameters)


def test_the_chain_ends_with_a_gif_of_the_images_shape(chain):
    frames = iio.imread(chain.run / "training.gif", index=None)
    side, _, channels = chain.card["image_shape"]
    assert len(frames) == 3
    assert frames.shape[1] == 8 * (side + 2) + 2
    if channels == 1:
        assert frames.ndim == 3 or (frames == frames[..., :1]).all()


def test_the_chain_ends_with_scores(chain):
    metrics = json.loads((chain.run / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["networks"] == f"runs/{chain.run.name}"
    scores = metrics["scores"]
    assert scores["last epoch"]["frechet"]["value"] > scores["training images"]["frechet"]["value"]


def test_every_lesson_reads_what_the_first_prepared(chain):
    assert "Images: made now" in chain.texts[0]
    for text in chain.texts[1:]:
        assert f"Images: yours, from runs/{chain.run.name}/images.npz." in text


def test_the_card_asks_for_what_was_given(chain):
    size, channels = (chain.parameters.get(name, 0) for name in ("IMAGE_SIZE", "CHANNELS"))
    assert size in (0, chain.card["image_shape"][0])
    assert channels in (0, chain.card["image_shape"][2])
    assert chain.card["dataset"] == chain.parameters["DATASET"]
