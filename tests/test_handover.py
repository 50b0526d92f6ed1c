"""Notebooks hand each other files, open alone, and go on after a kill: executed for real, tiny."""

import json
import re
from base64 import b64decode
from contextlib import contextmanager
from types import SimpleNamespace

import imageio.v3 as iio
import numpy as np
import papermill
import pytest
from jupyter_client import KernelManager
from lessons import NOTEBOOKS, RUN, edit_the_generator, edited_shapes, printed, shapes, weights
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

import helpers
from helpers.machine import current_profile
from helpers.files import load_arrays, load_json

KILLED = {"EPOCHS": 4, "BATCH_SIZE": 32}  # small batches: an epoch has a middle
PATIENCE = 120  # seconds until a kernel that says nothing is given up


@contextmanager
def runs_folder(folder):
    """Notebooks, and `helpers`, work in `folder` instead of the session's folder of runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DCGAN_RUNS", str(folder))
        yield


def execute(notebook, folder, **parameters):
    """Execute one notebook, given by name or path, with its runs in `folder`; return its text."""
    return printed(executed(notebook, folder, **parameters))


def executed(notebook, folder, **parameters):
    """The executed notebook itself."""
    path = NOTEBOOKS / f"{notebook}.ipynb"  # a path stays itself
    with runs_folder(folder):
        return papermill.execute_notebook(
            path,
            None,
            parameters,
            cwd=NOTEBOOKS,
            kernel_name="python3",
            progress_bar=False,
            coalesce_streams=True,
        )


def newest_checkpoint(run):
    return load_arrays(max((run / "checkpoints").iterdir()))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


# A learner's change in lesson 3 arrives in lessons 4 and 5


@pytest.fixture(scope="module")
def edited(tmp_path_factory):
    """Lessons 3, 4 and 5, where the generator's builder in lesson 3 makes half the maps."""
    folder = tmp_path_factory.mktemp("edited")
    edit_the_generator(folder / "edited.ipynb")
    texts = [execute(name, folder) for name in (folder / "edited", "04_training", "05_evaluation")]
    return SimpleNamespace(run=folder / RUN, folder=folder, texts=texts)


def test_the_edited_generator_is_the_one_that_is_trained(edited):
    untrained = weights(edited.run / "generator.keras")
    trained = weights(edited.run / "generator_trained.keras")
    assert shapes(untrained) == shapes(trained) == edited_shapes()
    assert not any(np.array_equal(before, after) for before, after in zip(untrained, trained))
    assert f"Networks: yours, from runs/{RUN}." in edited.texts[1]


def test_the_discriminator_is_trained_too(edited):
    untrained = weights(edited.run / "discriminator.keras")
    trained = weights(edited.run / "discriminator_trained.keras")
    assert shapes(untrained) == shapes(trained)
    assert not any(np.array_equal(before, after) for before, after in zip(untrained, trained))


def test_the_edited_generator_is_the_one_that_is_scored(edited):
    assert f"Trained networks: yours, from runs/{RUN}." in edited.texts[2]
    metrics = json.loads((edited.run / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["networks"] == f"runs/{RUN}"
    generated, floor = (
        metrics["scores"][name]["frechet"] for name in ("last epoch", "training images")
    )
    assert generated["generated"] == generated["real"] == current_profile().samples
    assert generated["value"] > floor["value"] > 0


def test_images_are_prepared_once_and_read_after(edited):
    assert "Images: made now from the course's assets" in edited.texts[0]
    for text in edited.texts[1:]:
        assert f"Images: yours, from runs/{RUN}/images.npz." in text


# Lesson 4 alone on an empty machine, and once more


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Lesson 4 in an empty folder of runs."""
    folder = tmp_path_factory.mktemp("alone")
    notebook = executed("04_training", folder)
    return SimpleNamespace(
        run=folder / RUN, folder=folder, notebook=notebook, text=printed(notebook)
    )


def test_lesson_4_alone_prepares_builds_and_trains(alone):
    assert "Images: made now from the course's assets" in alone.text
    assert "Networks: built now with the cells of notebook 3." in alone.text
    assert "0 of 32 steps are done (16 an epoch)." in alone.text
    assert list(helpers.load_table(alone.run / "history.csv")["epoch"]) == [1, 2]
    assert len(iio.imread(alone.run / "training.gif", index=None)) == 3
    built = helpers.taught("03_architecture").build_generator((28, 28, 1))
    assert shapes(weights(alone.run / "generator_trained.keras")) == shapes(built.weights)


def test_the_best_generator_is_kept_beside_the_last(alone):
    """Only the last of two epochs is measured, so here they are one."""
    assert np.isfinite(helpers.load_table(alone.run / "history.csv")["distance"]).tolist() == [0, 1]
    record = load_json(alone.run / "distance.json")
    assert record["best"]["epoch"] == 2 and record["floor"]["real"] == 200
    assert record["best"]["space"]["name"] == "the shipped Fashion-MNIST classifier"
    best, last = (weights(alone.run / f"generator_{name}.keras") for name in ("best", "trained"))
    assert all(np.array_equal(*pair) for pair in zip(best, last, strict=True))


def test_a_finished_training_is_not_repeated(alone):
    before = contents(alone.run)
    text = execute("04_training", alone.folder)
    after = contents(alone.run)
    assert "32 of 32 steps are done (16 an epoch)." in text
    assert before.keys() == after.keys()
    for name in ("history.csv", "images.npz", "training.gif"):
        assert before[name] == after[name], name
    trained = weights(alone.run / "generator_trained.keras")
    saved = newest_checkpoint(alone.run)
    for index, weight in enumerate(trained):
        np.testing.assert_array_equal(weight, saved[f"ema_generator/{index:03d}"])


def test_more_epochs_do_not_make_the_notebook_larger(alone, tmp_path):
    """The training cell shows one picture and one bar, however long it trains."""

    def outputs(notebook):
        (cell,) = [cell for cell in notebook.cells if "model.fit(" in cell.source]
        return cell.outputs

    short, long = outputs(alone.notebook), outputs(executed("04_training", tmp_path, EPOCHS=7))
    kinds = [list(each.get("data", {"text": 0})) for each in short]
    assert kinds == [["text"], ["image/png", "text/plain"]]  # papermill puts text together
    assert [list(each.get("data", {"text": 0})) for each in long] == kinds
    assert "32/32" in short[0].text and "112/112" in long[0].text
    assert len(long[0].text) < len(short[0].text) + 20
    heights = [len(iio.imread(b64decode(each[1].data["image/png"]))) for each in (short, long)]
    assert heights[0] == heights[1]


def test_a_run_of_another_data_set_is_refused(alone):
    before = contents(alone.run)
    with pytest.raises(papermill.PapermillExecutionError) as failure:
        execute("04_training", alone.folder, DATASET="mnist", RUN_NAME=RUN)
    assert failure.value.ename == "ValueError"
    assert failure.value.evalue == (
        f"runs/{RUN} holds fashion_mnist at 28 pixels in profile tiny, gray, not mnist at 28 "
        "pixels in profile tiny, gray; choose another RUN_NAME."
    )
    assert contents(alone.run) == before


# A kill in the middle of an epoch


@contextmanager
def lesson_4_in_its_second_epoch(folder):
    """Run lesson 4 in a kernel until its progress bar is inside the second epoch of 16 steps."""
    notebook = parameterize_notebook(
        load_notebook_node(str(NOTEBOOKS / "04_training.ipynb")), KILLED
    )
    manager = KernelManager(kernel_name="python3")
    with runs_folder(folder):
        manager.start_kernel(cwd=NOTEBOOKS)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=PATIENCE)
        sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
        number = next(n for n, source in enumerate(sources) if "model.fit(" in source)
        for source in sources[: number + 1]:
            client.execute(source)
        text = ""
        while not re.search(r"(?<!\d)(1[89]|2\d|30)/64", text):
            message = client.get_iopub_msg(timeout=PATIENCE)
            assert message["msg_type"] != "error", message["content"]
            text += message["content"].get("text", "") if message["msg_type"] == "stream" else ""
        yield manager, client, sources[number]
    finally:
        manager.shutdown_kernel(now=True)  # SIGKILL
        client.stop_channels()


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """Lesson 4 killed inside an epoch, what was there then, and lesson 4 once more."""
    folder = tmp_path_factory.mktemp("killed")
    with lesson_4_in_its_second_epoch(folder):
        pass  # its end is the kill
    run = folder / RUN
    left = contents(run)
    about = json.loads(str(newest_checkpoint(run)["about"]))
    text = execute("04_training", folder, **KILLED)
    return SimpleNamespace(run=run, left=left, finished=len(about["history"]), text=text)


def test_the_kill_came_between_the_first_epoch_and_the_end(killed):
    assert 1 <= killed.finished < KILLED["EPOCHS"]
    assert "generator_trained.keras" not in killed.left


def test_training_goes_on_from_the_last_finished_epoch(killed):
    assert f"{16 * killed.finished} of 64 steps are done (16 an epoch)." in killed.text
    left = 64 - 16 * killed.finished
    assert f"{left}/{left}" in killed.text and "64/64" not in killed.text


def test_the_history_has_no_gap_and_no_double_row(killed):
    path = killed.run / "history.csv"
    assert list(helpers.load_table(path)["epoch"]) == [1, 2, 3, 4]
    assert path.read_bytes().startswith(killed.left["history.csv"])


def test_the_gif_is_whole(killed):
    frames = iio.imread(killed.run / "training.gif", index=None)
    assert len(frames) == 5  # the noise before, and four epochs
    previews = helpers.load_previews(killed.run, epochs=4)
    for frame, preview in zip(frames, previews):
        grid = helpers.image_grid(preview)
        np.testing.assert_array_equal(frame[..., 0] if frame.ndim == 3 else frame, grid)


def test_no_half_written_file_stays(killed):
    assert not list(killed.run.rglob(".*"))


# The stop button


def answers(client, source=None):
    """Execute a cell, or wait for the one that runs; its messages until the kernel is idle."""
    request = client.execute(source) if source else None
    messages = []
    while True:
        message = client.get_iopub_msg(timeout=PATIENCE)
        if request in (None, message["parent_header"].get("msg_id")):
            messages.append(message)
            idle = message["content"].get("execution_state") == "idle"
            if message["msg_type"] == "status" and idle:
                return messages


def test_the_stop_button_ends_with_one_line_and_a_usable_session(tmp_path):
    with lesson_4_in_its_second_epoch(tmp_path) as (manager, client, training_cell):
        manager.interrupt_kernel()
        (error,) = [each for each in answers(client) if each["msg_type"] == "error"]
        line = r"Stopped at step (\d+), in epoch 2; all is saved. To go on, run this cell again.*"
        (shown,) = error["content"]["traceback"]
        steps = int(re.fullmatch(line, shown)[1])
        assert (tmp_path / RUN / "checkpoints" / f"step_{steps:07d}.npz").is_file()
        (said,) = [
            each["content"]["text"]
            for each in answers(client, "print('here', int(model.step))")
            if each["msg_type"] == "stream"
        ]
        assert said == f"here {steps}\n"
        messages = answers(client, training_cell)
        assert not [each for each in messages if each["msg_type"] == "error"]
        text = "".join(each["content"].get("text", "") for each in messages)
        assert f"{steps} of 64 steps are done" in text
    assert list(helpers.load_table(tmp_path / RUN / "history.csv")["epoch"]) == [1, 2, 3, 4]
