"""Lessons executed for real, tiny: own pictures on empty machines with Drive; few images.

`make test-all` executes them on every other kind of source, too.
"""

import json
import os
import re
import shutil
import subprocess
import zipfile
from contextlib import contextmanager
from types import SimpleNamespace

import imageio.v3 as iio
import nbformat
import numpy as np
import papermill
import pytest
from PIL import Image

import helpers
from assets.make.repository import current_slug
from helpers.machine import ROOT
from helpers.run import newest_record

LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))
RUN = "pets-30-tiny"
STAND_IN = ROOT / "tests" / "colab_stand_in"
NOT_THE_COURSE = (".git", ".venv*", "runs", "__pycache__", ".pytest_cache", ".ruff_cache")


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """The course as it lies here, committed to a repository that git takes for the address."""
    folder = tmp_path_factory.mktemp("address") / "course"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*NOT_THE_COURSE))
    who = ["-c", "user.name=course", "-c", "user.email=course@example.org"]
    for command in (["init", "-q"], ["add", "-A"], [*who, "commit", "-q", "-m", "the course"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder.as_uri()


@contextmanager
def new_machine(address):
    """Kernels started here are Colab's, and reach `address` under the course's own address."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DCGAN_RUNS")
        patch.setenv("PYTHONPATH", str(STAND_IN))
        patch.setenv("GIT_CONFIG_COUNT", "1")
        patch.setenv("GIT_CONFIG_KEY_0", f"url.{address}.insteadOf")
        patch.setenv("GIT_CONFIG_VALUE_0", f"https://github.com/{current_slug()}")
        yield


def execute(notebook, cwd, **parameters):
    """The executed notebook, its parameters replaced."""
    return papermill.execute_notebook(
        notebook, None, parameters, cwd=cwd, kernel_name="python3", progress_bar=False,
        coalesce_streams=True,
    )  # fmt: skip


def printed(notebook):
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.get("text", "") for output in outputs)


def open_alone(lesson, folder, address, **parameters):
    """Copy one lesson into an empty folder and run it there from top to bottom."""
    folder.mkdir(parents=True)
    shutil.copy(lesson, folder / lesson.name)
    with new_machine(address):
        executed = execute(folder / lesson.name, folder, **parameters)
    runs = folder / "dcgan-course" / "runs"
    return SimpleNamespace(
        folder=folder, run=runs / RUN, images=runs / "images" / RUN, notebook=executed,
        text=printed(executed),
    )  # fmt: skip


def shapes(path):
    return [tuple(weight.shape) for weight in helpers.load_model(path).weights]


def built_shapes(feature_maps=64):
    build = helpers.taught("03_architecture").build_generator
    return [tuple(weight.shape) for weight in build((30, 30, 3), feature_maps=feature_maps).weights]


def noise(count, *shape):
    return np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)


def make_folder(folder):
    """Forty photographs, in colour and gray, of several sizes and kinds, in two classes."""
    for number in range(40):
        picture = Image.fromarray(noise(1, 40 + number % 30, 50, 3)[0] // 2 + number // 2)
        path = folder / "pets" / ("cats", "dogs")[number % 2] / f"{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number % 3:
            picture.save(path.with_suffix(".jpg"))
        else:
            picture.convert("L").save(path.with_suffix(".png"))
    return {"DATASET": str(folder / "pets"), "IMAGE_SIZE": 30}


# Few images, and the networks that come with the course


def test_lesson_5_scores_the_shipped_networks_by_few_images_without_labels(tmp_path, monkeypatch):
    """Eight held-out images, no labels, variants: one line for each, and nothing raises."""
    monkeypatch.setenv("DCGAN_RUNS", str(tmp_path))
    run = helpers.open_run("fashion_mnist")
    images = helpers.prepare(run)
    for name in ("images", "labels"):
        held_out = getattr(images, f"held_out_{name}")[:8]
        np.save(run.images_folder / f"held_out_{name}.npy", held_out)
    card = images.card | {"labelled": False, "class_names": ["all images"], "augmented": True}
    helpers.save_json(run.images_folder / "dataset.json", card | {"held_out_images": 8})
    text = printed(execute(LESSONS[4], LESSONS[4].parent))
    assert "Trained networks: the shipped ones" in text
    for line in ("Features: random convolutions", "Too few images for 64 features", "Not valid"):
        assert text.count(line) == 1, line
    assert "confidence" not in text and "classes covered" not in text
    metrics = helpers.load_json(run.folder / "metrics.json")
    assert metrics["class_shares"] is None and metrics["copies_valid"] is False
    record = metrics["scores"]["shipped"]["frechet"]
    assert record["real"] == record["generated"] == 8 and record["value"] > 0
    assert "classes_covered" not in metrics["scores"]["shipped"]


# The learner's own pictures: in lesson 2; and with an own generator, over Drive to lessons 4 and 5


def test_lesson_2_shows_own_pictures_and_prepares_them(tmp_path, monkeypatch):
    monkeypatch.setenv("DCGAN_RUNS", str(tmp_path / "runs"))
    text = printed(execute(LESSONS[1], LESSONS[1].parent, **make_folder(tmp_path)))
    assert "Images: made now" in text
    card = helpers.load_json(tmp_path / "runs" / "images" / RUN / "dataset.json")
    assert card["image_shape"] == [30, 30, 3] and card["class_names"] == ["cats", "dogs"]


def edit_the_generator(path):
    """Write lesson 3 as a learner edits it: half the maps, another layer, and no names."""
    notebook = nbformat.read(LESSONS[2], as_version=nbformat.NO_CONVERT)
    (builder,) = [cell for cell in notebook.cells if "def build_generator" in cell.source]
    assert builder.source.count("feature_maps * 2") == 1
    builder.source = builder.source.replace("feature_maps * 2", "feature_maps // 2 * 2")
    (block,) = [cell for cell in notebook.cells if "def upsample" in cell.source]
    assert block.source.count("layers.ReLU()") == 1
    block.source = block.source.replace("layers.ReLU()", "layers.LeakyReLU(0.2)")
    for cell in notebook.cells:
        for name in ("generator", "discriminator"):
            cell.source = cell.source.replace(f', name="{name}")', ")")
    nbformat.write(notebook, path)


@pytest.fixture(scope="module")
def chain(tmp_path_factory, clone):
    """Lessons 3 to 5 on three empty machines that share a folder of Drive; 3 is edited."""
    folder = tmp_path_factory.mktemp("chain")
    edited = folder / LESSONS[2].name
    edit_the_generator(edited)
    given = make_folder(folder) | {"SAVE_TO_DRIVE": str(folder / "MyDrive" / "course")}
    return [
        open_alone(edited, folder / "3", clone, FEATURE_MAPS=32, **given),
        open_alone(LESSONS[3], folder / "4", clone, EPOCHS=3, **given),
        open_alone(LESSONS[4], folder / "5", clone, **given),
    ]


def test_a_lesson_says_what_machine_it_runs_on_and_leaves_nothing_beside_the_course(chain):
    for machine in chain:
        first, second, third = machine.text.splitlines()[:3]
        assert first.endswith(f"Colab, CPU, {os.cpu_count()} cores")
        assert second.startswith("Profile tiny")
        assert third.startswith("No GPU here. For one: Runtime > Change runtime type > T4 GPU,")
        left = {path.suffix for path in machine.folder.iterdir() if path.name != "downloads"}
        assert left == {".ipynb", ""}  # the lesson and the clone


def test_the_solutions_are_right_for_own_pictures_too(chain):
    for machine in chain:
        assert "Right." in machine.text and "Not yet." not in machine.text


def test_few_pictures_are_moved_and_a_line_says_so(chain):
    most = newest_record(chain[1].run)["settings"]["max_shift"]
    assert most > 0
    line = f"Few images: the discriminator sees each moved by up to {most} pixels."
    assert line in chain[1].text


def test_lesson_4_downloads_the_gif_and_the_generator(chain):
    for name in ("training.gif", "generator_trained.keras"):
        downloaded = chain[1].folder / "downloads" / name
        assert downloaded.read_bytes() == (chain[1].run / name).read_bytes()


def test_the_edited_generator_is_trained_and_scored(chain):
    architecture, training, evaluation = chain
    edited = built_shapes(feature_maps=16)
    assert edited != built_shapes()
    for machine in (architecture, training, evaluation):
        assert shapes(machine.run / "generator.keras") == edited
    for machine in (training, evaluation):
        assert shapes(machine.run / "generator_trained.keras") == edited
    before, after = (
        helpers.load_model(training.run / f"generator{suffix}.keras").get_weights()
        for suffix in ("", "_trained")
    )
    assert not any(np.array_equal(*pair) for pair in zip(before, after))
    assert f"Networks: yours, from runs/{RUN}." in training.text
    assert f"Trained networks: yours, from runs/{RUN}." in evaluation.text
    metrics = helpers.load_json(evaluation.run / "metrics.json")
    assert metrics["networks"] == f"runs/{RUN}"
    scores = metrics["scores"]
    assert scores["last epoch"]["frechet"]["real"] == 7  # held out of forty
    assert scores["last epoch"]["frechet"]["value"] > scores["training images"]["frechet"]["value"]


def test_images_are_made_again_on_every_machine_and_are_the_same(chain):
    hashes = set()
    for machine in chain:
        assert "Images: made now" in machine.text
        hashes.add(helpers.load_json(machine.images / "dataset.json")["images"])
    assert len(hashes) == 1


def test_drive_is_mounted_and_holds_the_last_two_archives(chain):
    for machine in chain:
        assert "Mounted at /content/drive" in machine.text
        assert f"Saved to Drive: {RUN}.0" in machine.text
    _, newest = archives = sorted((chain[0].folder.parent / "MyDrive" / "course").iterdir())
    assert all(re.fullmatch(rf"{RUN}\.[0-9]{{4}}\.zip", path.name) for path in archives)
    with zipfile.ZipFile(newest) as archive:
        for name in ("metrics.json", "training.gif", "generator_trained.keras"):
            assert archive.read(name) == (chain[-1].run / name).read_bytes()


def test_the_training_cell_shows_one_picture_and_one_bar_however_long_it_trains(chain):
    (cell,) = [cell for cell in chain[1].notebook.cells if "model.fit(" in cell.source]
    kinds = [list(each.get("data", {"text": 0})) for each in cell.outputs]
    assert kinds == [["text"], ["image/png", "text/plain"]]  # the streams are put together
    assert "48/48" in cell.outputs[0].text and len(cell.outputs[0].text.splitlines()) < 20


# Every other kind of source


def make_csv(folder, name="letters.csv", count=300):
    rows = np.column_stack([np.arange(count) % 3, noise(count, 784)])
    header = ",".join(["label", *(f"pixel{n}" for n in range(1, 785))])
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(path, rows, "%d", ",", header=header, comments="")
    return {"DATASET": str(path)}


def make_npz(folder):
    np.savez(folder / "squares.npz", images=noise(300, 40, 40, 3), labels=np.arange(300) % 2)
    return {"DATASET": str(folder / "squares.npz"), "IMAGE_SIZE": 32}


def make_signs(folder):
    """Sign Language MNIST, by what the course uses of kagglehub."""
    for split in ("train", "test"):
        make_csv(folder, f"kaggle/sign_mnist_{split}/sign_mnist_{split}.csv")
    (folder / "modules").mkdir()
    text = f"def dataset_download(name):\n    return {str(folder / 'kaggle')!r}\n"
    (folder / "modules" / "kagglehub.py").write_text(text, encoding="utf-8")
    return {"DATASET": "sign_language_mnist"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        lambda folder: {"DATASET": "emoji"},
        make_csv,
        make_npz,
        make_signs,
        lambda folder: {"DATASET": "mnist"},
        lambda folder: {"DATASET": "emoji", "IMAGE_SIZE": 32, "CHANNELS": 1},
        lambda folder: {"DATASET": "fashion_mnist", "IMAGE_SIZE": 128},
    ],
    ids=["emoji", "csv", "npz", "signs", "mnist", "gray emoji at 32", "128 pixels"],
)
def test_lessons_2_4_and_5_on_other_images(make, tmp_path, monkeypatch):
    """Lesson 3 is left out, so lesson 4 builds the networks, as where it is opened alone."""
    parameters = make(tmp_path)
    monkeypatch.setenv("DCGAN_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "modules"))
    lessons = [LESSONS[1], *LESSONS[3:]]
    texts = [printed(execute(lesson, lesson.parent, **parameters)) for lesson in lessons]
    (run,) = [path for path in (tmp_path / "runs").iterdir() if path.name != "images"]
    (prepared,) = (tmp_path / "runs" / "images").iterdir()
    assert "Images: made now" in texts[0]
    for text in texts[1:]:
        assert f"Images: yours, from runs/images/{prepared.name}." in text
    assert "Networks: built now with the cells of notebook 3, " in texts[1]
    card = json.loads((prepared / "dataset.json").read_text(encoding="utf-8"))
    size, channels = (parameters.get(name, 0) for name in ("IMAGE_SIZE", "CHANNELS"))
    assert size in (0, card["image_shape"][0]) and channels in (0, card["image_shape"][2])
    frames = iio.imread(run / "training.gif", index=None)
    assert len(frames) >= 4 and frames.shape[2] == 8 * (card["image_shape"][0] + 2) + 2
    metrics = helpers.load_json(run / "metrics.json")
    assert metrics["networks"] == f"runs/{run.name}"
    scores = metrics["scores"]
    assert scores["last epoch"]["frechet"]["value"] > scores["training images"]["frechet"]["value"]


# The set-up cell


def set_up(folder, **environment):
    """Run the set-up cell's search in a folder; the root it finds, or the error it prints."""
    source = nbformat.read(LESSONS[0], as_version=nbformat.NO_CONVERT).cells[1].source
    search = source.partition("sys.path.insert")[0] + "print(root)"
    command = ["python3", "-c", search]
    finished = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False,
        env=os.environ | environment,
    )  # fmt: skip
    return finished.stdout.strip() or finished.stderr


@pytest.mark.parametrize("place", [".", "notebooks", "notebooks/further", "content"])
def test_the_course_is_found_here_or_in_a_folder_above_or_fetched_before(place, tmp_path):
    course = tmp_path / ("content/dcgan-course" if place == "content" else "my course ä")
    (course / "helpers").mkdir(parents=True)
    (course / "helpers" / "__init__.py").touch()
    folder = tmp_path / place if place == "content" else course / place
    folder.mkdir(parents=True, exist_ok=True)
    assert set_up(folder) == str(course)


def test_an_address_that_does_not_answer_gives_gits_message_and_one_sentence(tmp_path):
    nowhere = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{(tmp_path / 'nowhere').as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": f"https://github.com/{current_slug()}",
    }
    error = set_up(tmp_path, **nowhere)
    assert "fatal: " in error and "nowhere" in error
    assert error.splitlines()[-1].startswith("RuntimeError: The course could not be fetched. Is")
    assert not list(tmp_path.iterdir())
