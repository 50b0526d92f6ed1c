"""Bad input: one line that names the value and the remedy, and no path of this machine."""

import errno
import json

import keras
import numpy as np
import pytest

import helpers
from helpers.training.model import AdversarialModel
from helpers.training.checkpoints import _sha256
from helpers.machine import current_profile
from helpers.files import load_arrays, load_table, atomic_write, save_arrays, save_model

GRAY = np.zeros((4, 8, 8, 1), np.uint8)


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DCGAN_RUNS", str(tmp_path))
    monkeypatch.setenv("DCGAN_PROFILE", "tiny")


def assert_clear(action, kind, parts, tmp_path):
    with pytest.raises(kind) as caught:
        action()
    message = str(caught.value)
    assert "\n" not in message and len(message) < 300, message
    assert message[0] != "[" and message.endswith("."), message  # not "[Errno 2] …"
    assert str(tmp_path) not in message and str(helpers.machine.ROOT) not in message, message
    for part in parts:
        assert part in message, f"{part!r} is not in {message!r}"


@pytest.mark.parametrize(
    ("images", "parts"),
    [
        (GRAY.astype(np.float32) + 0.5, ["float32", "0.5", "uint8"]),
        (GRAY.astype(np.int64) + 300, ["int64", "300", "uint8"]),
        (GRAY[..., 0], ["(4, 8, 8)", "(N, height, width, 1 or 3)"]),
        (GRAY[0], ["(8, 8, 1)", "(N, height, width, 1 or 3)"]),
        (GRAY.repeat(2, axis=-1), ["(4, 8, 8, 2)", "1 or 3"]),
        (GRAY.repeat(4, axis=-1), ["(4, 8, 8, 4)", "1 or 3"]),
        (GRAY[:0], ["(0, 8, 8, 1)", "at least 1"]),
    ],
    ids=["float", "integers", "no channel", "one image", "2 channels", "4 channels", "none"],
)
@pytest.mark.parametrize(
    "reader",
    [lambda x: helpers.resize(x, 8), lambda x: helpers.training_batches(x, 2, seed=0)],
    ids=["resize", "training_batches"],
)
def test_images_of_another_kind(reader, images, parts, tmp_path):
    assert_clear(lambda: reader(images), ValueError, parts, tmp_path)


@pytest.mark.parametrize(
    ("images", "parts"),
    [
        (GRAY.astype(np.float32) + 255, ["255", "[-1, 1]", "x / 127.5 - 1"]),
        (np.full((2, 8, 8), -1.1), ["-1.1", "[-1, 1]"]),
        (np.full((2, 8, 8), np.nan), ["nan", "[-1, 1]"]),
        (np.full((2, 8, 8), np.inf), ["inf", "[-1, 1]"]),
    ],
    ids=["not normalised", "below", "NaN", "infinite"],
)
@pytest.mark.parametrize("reader", [helpers.to_uint8, helpers.image_grid])
def test_floats_out_of_range(reader, images, parts, tmp_path):
    assert_clear(lambda: reader(images), ValueError, parts, tmp_path)


@pytest.mark.parametrize("shape", [(8,), (8, 8), (2, 8, 8, 2), (2, 8, 8, 4), (0, 8, 8), (1,) * 5])
def test_shapes_that_make_no_grid(shape, tmp_path):
    action = lambda: helpers.image_grid(np.zeros(shape, np.uint8))  # noqa: E731
    assert_clear(action, ValueError, [str(shape), "(N, H, W, 3)"], tmp_path)


@pytest.mark.parametrize(
    ("frames", "parts"),
    [
        ([], ["[]", "uint8"]),
        ([np.zeros((8, 8))], ["float64", "uint8"]),
        ([GRAY[0, ..., 0], GRAY[0, :4, :, 0]], ["(4, 8)", "(8, 8)", "one shape"]),
        ([GRAY[0, ..., 0], np.zeros((8, 8, 3), np.uint8)], ["(8, 8, 3)", "one shape"]),
        ([GRAY[0]], ["(8, 8, 1)", "(H, W, 3)"]),
        ([GRAY], ["(4, 8, 8, 1)", "(H, W, 3)"]),
    ],
    ids=["none", "float", "two sizes", "gray and colour", "one channel", "a batch"],
)
def test_frames_that_make_no_gif(frames, parts, tmp_path):
    earlier = tmp_path / "training.gif"
    earlier.write_bytes(b"earlier")
    for action in (
        lambda: helpers.encode_gif(frames),
        lambda: helpers.save_gif(earlier, frames),
    ):
        assert_clear(action, ValueError, parts, tmp_path)
    assert earlier.read_bytes() == b"earlier"


@pytest.mark.parametrize(
    ("action", "parts"),
    [
        (lambda: helpers.training_batches(GRAY, 5, seed=0), ["4 images", "batch of 5", "lower"]),
        (lambda: helpers.open_run("cifar"), ["'cifar'", "fashion_mnist", "mnist"]),
        (lambda: helpers.load_source("cifar", False), ["'cifar'", "fashion_mnist", "mnist"]),
        (lambda: helpers.open_run("mnist", image_size=7), ["IMAGE_SIZE", "7", "at least 8"]),
        (lambda: helpers.open_run("mnist", name="a/b"), ["RUN_NAME", "'a/b'", "one folder"]),
        (lambda: helpers.open_run("mnist", name="../b"), ["RUN_NAME", "'../b'"]),
        (lambda: helpers.open_run("mnist", name=".."), ["RUN_NAME", "'..'"]),
        (lambda: helpers.open_run("mnist", name="."), ["RUN_NAME", "'.'"]),
        (lambda: helpers.open_run("mnist", name="/tmp"), ["RUN_NAME", "'/tmp'"]),
    ],
    ids=["batch", "run", "source", "size", "slash", "up and down", "up", "here", "absolute"],
)
def test_parameters(action, parts, tmp_path):
    assert_clear(action, ValueError, parts, tmp_path)


@pytest.mark.parametrize("name", ["huge", "TINY", "tiny,quick"])
def test_unknown_profile(name, monkeypatch, tmp_path):
    monkeypatch.setenv("DCGAN_PROFILE", name)
    parts = ["DCGAN_PROFILE", repr(name), "tiny, quick, full"]
    assert_clear(current_profile, ValueError, parts, tmp_path)


@pytest.mark.parametrize(
    ("card", "parts"),
    [
        ({"dataset": "fashion_mnist"}, ["fashion_mnist", "not mnist at 28"]),
        ({"image_shape": [32, 32, 1]}, ["32 pixels", "28 pixels"]),
        ({"profile": "full"}, ["profile full", "profile tiny"]),
    ],
)
def test_folder_of_another_run(card, parts, tmp_path):
    own = {"dataset": "mnist", "image_shape": [28, 28, 1], "profile": "tiny", "fingerprint": ""}
    own |= {"background": "white", "labelled": True, "images": ""}
    folder = tmp_path / "digits"
    folder.mkdir()
    (folder / "dataset.json").write_text(json.dumps(own))
    assert helpers.open_run("mnist", name="digits").folder == folder
    (folder / "dataset.json").write_text(json.dumps(own | card))
    action = lambda: helpers.open_run("mnist", name="digits")  # noqa: E731
    assert_clear(action, ValueError, [*parts, "runs/digits", "RUN_NAME"], tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b'{"dataset": "mni', b"\xff\xfe\x00", b"[]", b"{}", b'{"dataset": "mnist"}', b"null"],
)
def test_damaged_card(content, tmp_path):
    folder = tmp_path / "digits"
    folder.mkdir()
    (folder / "dataset.json").write_bytes(content)
    action = lambda: helpers.open_run("mnist", name="digits")  # noqa: E731
    assert_clear(action, ValueError, ["runs/digits/dataset.json", "delete it", "2"], tmp_path)


@pytest.mark.parametrize(
    ("sets", "parts"),
    [
        ((np.zeros((1, 3)), np.zeros((5, 3))), ["(1, 3)", "at least two"]),
        ((np.zeros((5, 3)), np.zeros((0, 3))), ["(0, 3)", "at least two"]),
        ((np.zeros(5), np.zeros(5)), ["(5,)", "(images, features)"]),
        ((np.zeros((5, 3)), np.zeros((5, 3, 1))), ["(5, 3, 1)", "(images, features)"]),
        ((np.zeros((5, 3)), np.zeros((5, 4))), ["3 and 4", "same network"]),
        ((np.zeros((5, 3)), np.full((5, 3), np.nan)), ["NaN", "images"]),
        ((np.full((5, 3), -np.inf), np.zeros((5, 3))), ["infinity", "images"]),
    ],
)
def test_features_without_a_distance(sets, parts, tmp_path):
    assert_clear(lambda: helpers.frechet_distance(*sets), ValueError, parts, tmp_path)


def test_missing_and_untagged_notebook(tmp_path):
    parts = ["99_nothing.ipynb", "notebooks/"]
    assert_clear(lambda: helpers.taught("99_nothing"), FileNotFoundError, parts, tmp_path)
    parts = ["02_data_preparation.ipynb", "'taught'"]
    assert_clear(lambda: helpers.taught("02_data_preparation"), ValueError, parts, tmp_path)


# Files: missing, truncated, foreign.


def write_npz(path):
    save_arrays(path, compressed=True, images=np.arange(5000))


def write_model(path):
    save_model(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]), path)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda whole: b"",
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:-1],
        lambda whole: whole[:200] + bytes(300) + whole[500:],
        lambda whole: b"this is text, nothing else\n" * 40,
    ],
    ids=["empty", "half", "last byte gone", "zeros inside", "text"],
)
@pytest.mark.parametrize(
    ("name", "write", "read"),
    [("images.npz", write_npz, load_arrays), ("model.keras", write_model, helpers.load_model)],
    ids=["npz", "keras"],
)
def test_damaged_file(name, write, read, spoil, tmp_path):
    path = tmp_path / "own" / name
    write(path)
    read(path)
    path.write_bytes(spoil(path.read_bytes()))
    assert_clear(lambda: read(path), ValueError, [f"runs/own/{name}", "again"], tmp_path)


def test_one_flipped_bit_is_never_an_unexplained_error(tmp_path):
    """Wherever an `.npz` is damaged, it reads as before or is refused in a sentence."""
    random = np.random.default_rng(0)
    path = tmp_path / "images.npz"
    write_npz(path)
    whole = path.read_bytes()
    refused = 0
    for _ in range(200):
        spoiled = bytearray(whole)
        spoiled[random.integers(len(whole))] ^= 1 << int(random.integers(8))
        path.write_bytes(spoiled)
        try:
            load_arrays(path)
        except ValueError as error:
            refused += 1
            assert "runs/images.npz is damaged" in str(error)
    assert refused > 100


def foreign_npy(path):
    with open(path, "wb") as file:
        np.save(file, np.arange(5))


def foreign_pickle(path):
    np.savez(path, images=np.array([{"a": 1}], dtype=object))


@pytest.mark.parametrize("write", [foreign_npy, foreign_pickle])
def test_foreign_npz(write, tmp_path):
    path = tmp_path / "images.npz"
    write(path)
    assert_clear(lambda: load_arrays(path), ValueError, ["runs/images.npz", "again"], tmp_path)


def foreign_archive(path):
    write_npz(path.with_suffix(".npz"))
    path.with_suffix(".npz").rename(path)


def foreign_weights(path):
    path.write_bytes(b"\x89HDF\r\n" + bytes(500))


@pytest.mark.parametrize("write", [foreign_archive, foreign_weights])
def test_foreign_model(write, tmp_path):
    path = tmp_path / "generator.keras"
    write(path)
    action = lambda: helpers.load_model(path)  # noqa: E731
    assert_clear(action, ValueError, ["runs/generator.keras", "again"], tmp_path)


def test_missing_files(tmp_path):
    run = tmp_path / "own"
    for action, name in (
        (lambda: helpers.load_model(run / "generator.keras"), "runs/own/generator.keras"),
        (lambda: load_arrays(run / "images.npz"), "runs/own/images.npz"),
        (lambda: load_table(run / "history.csv"), "runs/own/history.csv"),
    ):
        assert_clear(action, FileNotFoundError, [name, "run"], tmp_path)


@pytest.mark.parametrize("content", ["", "epoch,loss\n", "epoch,loss\n1,0.5\n2", "epoch\nx\n"])
def test_damaged_table(content, tmp_path):
    path = tmp_path / "history.csv"
    path.write_text(content)
    assert_clear(lambda: load_table(path), ValueError, ["runs/history.csv", "again"], tmp_path)


def test_prepared_images_of_another_kind(tmp_path):
    """An `images.npz` that is whole but holds something else."""
    run = helpers.open_run("mnist")
    helpers.prepare(run)
    save_arrays(run.folder / "images.npz", weights=np.zeros(3))
    parts = [f"runs/{run.name}/images.npz", "again"]
    assert_clear(lambda: helpers.prepare(run), ValueError, parts, tmp_path)


# A save that fails.


def test_full_disk_and_unwritable_folder(tmp_path):
    path = tmp_path / "own" / "metrics.json"
    helpers.save_json(path, {"earlier": True})

    def fill_disk():
        with atomic_write(path) as partial:
            partial.write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device", str(partial))

    parts = ["runs/own/metrics.json", "No space left on device", "untouched", "DCGAN_RUNS"]
    assert_clear(fill_disk, OSError, parts, tmp_path)
    assert json.loads(path.read_text()) == {"earlier": True}
    assert [file.name for file in path.parent.iterdir()] == ["metrics.json"]

    parts = ["metrics.json", "DCGAN_RUNS"]
    action = lambda: helpers.save_json(path / "metrics.json", {})  # noqa: E731
    assert_clear(action, OSError, parts, tmp_path)
    assert json.loads(path.read_text()) == {"earlier": True}


# Networks and checkpoints.


def make_model(width=6, size=8, seed=0):
    generator = keras.Sequential([
        keras.Input((4,)),
        keras.layers.Dense(width),
        keras.layers.Dense(size * size, activation="tanh"),
        keras.layers.Reshape((size, size, 1)),
    ])  # fmt: skip
    discriminator = keras.Sequential([
        keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(1),
    ])  # fmt: skip
    model = AdversarialModel(generator, discriminator, seed=seed, previews=3)
    model.compile(keras.optimizers.Adam(), keras.optimizers.Adam())
    return model


def test_networks_that_do_not_fit_each_other(tmp_path):
    parts = ["(10, 10, 1)", "(8, 8, 1)", "build both"]
    assert_clear(lambda: make_model(size=10), ValueError, parts, tmp_path)


def test_one_optimizer_for_both_networks(tmp_path):
    model, optimizer = make_model(), keras.optimizers.Adam()
    parts = ["optimizer of its own", "two"]
    assert_clear(lambda: model.compile(optimizer, optimizer), ValueError, parts, tmp_path)


SETTINGS = {"BATCH_SIZE": 8, "SEED": 1}


def spoil_json(path, about):
    """Another text in a file that is whole otherwise: its checksum is right."""
    arrays = load_arrays(path) | {"about": np.array(about)}
    del arrays["sha256"]
    save_arrays(path, sha256=np.array(_sha256(arrays)), **arrays)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-100]),
        lambda path: path.write_bytes(b""),
        lambda path: save_arrays(path, x=np.zeros(3)),
        lambda path: spoil_json(path, "{"),
        lambda path: spoil_json(path, "{}"),
        lambda path: spoil_json(path, "[]"),
        lambda path: spoil_json(path, "5"),
        lambda path: np.savez(path, about=np.array([{}], object), sha256=np.array("")),
    ],
    ids=[
        "truncated",
        "empty",
        "foreign",
        "half JSON",
        "no history",
        "a list",
        "a number",
        "pickle",
    ],
)
def test_damaged_checkpoint(spoil, tmp_path):
    checkpoint = helpers.Checkpoint(tmp_path / "own", 10, SETTINGS)
    model = make_model()
    checkpoint.save(model)
    (path,) = checkpoint.files()
    spoil(path)
    parts = ["runs/own/checkpoints/step_0000000.npz damaged", "RUN_NAME", "RESUME = False"]
    assert_clear(lambda: checkpoint.restore(model), ValueError, parts, tmp_path)


@pytest.mark.parametrize(
    ("settings", "width", "parts"),
    [
        (SETTINGS | {"BATCH_SIZE": 9}, 6, ["BATCH_SIZE 8", "now it is 9"]),
        (SETTINGS | {"rate": 0.1}, 6, ["rate None", "now it is 0.1"]),
        (SETTINGS, 7, ["generator layer 0 units 6", "now it is 7"]),
    ],
    ids=["batch size", "new setting", "half the units"],
)
def test_checkpoint_of_another_training(settings, width, parts, tmp_path):
    helpers.Checkpoint(tmp_path / "own", 10, SETTINGS).save(make_model())
    model = make_model(width, seed=5)
    before = [np.copy(v.numpy()) for group in model.state().values() for v in group]
    restore = lambda: helpers.Checkpoint(tmp_path / "own", 10, settings).restore(model)  # noqa: E731
    parts = ["runs/own/checkpoints/step_0000000.npz", *parts, "RUN_NAME", "RESUME = False"]
    assert_clear(restore, ValueError, parts, tmp_path)
    after = [v.numpy() for group in model.state().values() for v in group]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    ("last", "parts"),
    [
        ([keras.layers.ELU()], ["layer 2 kind ReLU", "now it is ELU"]),
        ([keras.layers.ReLU(negative_slope=0.1)], ["layer 2 negative_slope 0", "now it is 0.1"]),
        (
            [keras.layers.ReLU(), keras.layers.Activation("tanh")],
            ["layer 3 nothing", "now it is Activation"],
        ),
    ],
    ids=["activation", "slope", "one more"],
)
def test_checkpoint_of_layers_with_equal_weights(last, parts, tmp_path):
    """A change in notebook 3 that keeps every shape is still another network."""

    def build(last):
        model = make_model()
        first = [keras.Input((4,)), keras.layers.Dense(64), keras.layers.Reshape((8, 8, 1))]
        generator = keras.Sequential([*first, *last])
        model = AdversarialModel(generator, model.discriminator, previews=3)
        model.compile(keras.optimizers.Adam(), keras.optimizers.Adam())
        return model

    helpers.Checkpoint(tmp_path, 10, SETTINGS).save(build([keras.layers.ReLU()]))
    restore = lambda: helpers.Checkpoint(tmp_path, 10, SETTINGS).restore(build(last))  # noqa: E731
    parts = ["runs/checkpoints/step_0000000.npz", "made with generator", *parts, "RUN_NAME"]
    assert_clear(restore, ValueError, parts, tmp_path)


@pytest.mark.parametrize("depth", [-1, 1])
def test_checkpoint_of_a_deeper_or_shallower_network(depth, tmp_path):
    """More or fewer variables are refused, whichever side has them."""

    def build(layers):
        model = make_model()
        dense = [keras.layers.Dense(6) for _ in range(layers)]
        last = [keras.layers.Dense(64, activation="tanh"), keras.layers.Reshape((8, 8, 1))]
        generator = keras.Sequential([keras.Input((4,)), *dense, *last])
        model = AdversarialModel(generator, model.discriminator, previews=3)
        model.compile(keras.optimizers.Adam(), keras.optimizers.Adam())
        return model

    helpers.Checkpoint(tmp_path, 10, SETTINGS).save(build(2))
    restore = lambda: helpers.Checkpoint(tmp_path, 10, SETTINGS).restore(build(2 + depth))  # noqa: E731
    parts = ["runs/checkpoints/step_0000000.npz", "made with generator layer", "RUN_NAME"]
    assert_clear(restore, ValueError, parts, tmp_path)


def test_missing_and_damaged_preview(tmp_path):
    folder = tmp_path / "own" / "previews"
    folder.mkdir(parents=True)
    for epoch in (0, 2):
        np.save(folder / f"epoch_{epoch:04d}.npy", GRAY)
    action = lambda: helpers.load_previews(tmp_path / "own", 2)  # noqa: E731
    parts = ["runs/own/previews/epoch_0001.npy", "gap", "RESUME = False"]
    assert_clear(action, FileNotFoundError, parts, tmp_path)
    (folder / "epoch_0001.npy").write_bytes(b"nothing")
    parts = ["runs/own/previews/epoch_0001.npy", "RESUME = False"]
    assert_clear(action, ValueError, parts, tmp_path)


def test_no_trained_networks(tmp_path):
    run = helpers.open_run("mnist", image_size=32)
    parts = [f"runs/{run.name}", "none are shipped", "notebook 4"]
    assert_clear(lambda: helpers.load_trained(run, (28, 28, 1)), FileNotFoundError, parts, tmp_path)
