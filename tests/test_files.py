"""Files are whole or not there, come back as they were, and say what is wrong with them."""

from contextlib import contextmanager

import keras
import numpy as np
import pytest

import helpers
from helpers import files


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_a_write_that_breaks_off_keeps_the_earlier_file(error, tmp_path):
    path = tmp_path / "scores.json"
    path.write_text("earlier")
    with pytest.raises(error), files.atomic_write(path) as partial:
        partial.write_text("half")
        assert path.read_text() == "earlier"
        raise error("broken off")
    assert names(tmp_path) == ["scores.json"] and path.read_text() == "earlier"


def test_a_write_makes_its_folder_and_leaves_nothing_else(tmp_path):
    with files.atomic_write(tmp_path / "new" / "scores.json") as partial:
        partial.write_text("whole")
        assert partial.suffix == ".json" and not (tmp_path / "new" / "scores.json").exists()
    assert names(tmp_path / "new") == ["scores.json"]


@contextmanager
def little_space():
    """No file of this process may grow beyond 5,000 bytes, as on a full disk."""
    resource = pytest.importorskip("resource", reason="limits of file sizes are POSIX")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("kind", ["json", "csv", "keras", "gif"])
def test_a_full_disk_costs_one_sentence_and_no_earlier_file(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("DCGAN_RUNS", str(tmp_path))
    noise = np.random.default_rng(0).integers(0, 256, (100, 100), np.uint8)
    save = {
        "json": lambda path: helpers.save_json(path, list(range(9_999))),
        "csv": lambda path: files.save_table(path, [{"n": n} for n in range(9_999)]),
        "keras": lambda path: helpers.save_model(dense(100), path),
        "gif": lambda path: helpers.save_gif(path, [noise]),
    }[kind]
    path = tmp_path / f"a.{kind}"
    path.write_text("earlier")
    with pytest.raises(OSError) as failure, little_space():
        save(path)
    assert str(failure.value) == (
        f"Could not save runs/a.{kind} (File too large); an earlier file of that name is "
        "untouched. Free some space, or set DCGAN_RUNS to a folder you can write."
    )
    assert path.read_text() == "earlier" and names(tmp_path) == [f"a.{kind}"]


def dense(units):
    return keras.Sequential([keras.Input((units,)), keras.layers.Dense(units, name="last")])


def test_json_and_tables_come_back_as_they_were(tmp_path):
    content = {"title": "Fréchet", "numbers": [1, 2.5], "none": None}
    helpers.save_json(tmp_path / "a.json", content)
    assert helpers.load_json(tmp_path / "a.json") == content
    losses = np.random.default_rng(0).normal(size=3).tolist()
    rows = [{"epoch": n + 1, "loss": loss, "distance": None} for n, loss in enumerate(losses)]
    files.save_table(tmp_path / "a.csv", [*rows[:2], rows[2] | {"distance": 4.5}])
    table = helpers.load_table(tmp_path / "a.csv")
    assert list(table) == ["epoch", "loss", "distance"] and table["loss"].tolist() == losses
    assert table["distance"].tolist()[2] == 4.5 and np.isnan(table["distance"][:2]).all()


def test_a_model_comes_back_as_it_was(tmp_path):
    model = dense(3)
    helpers.save_model(model, tmp_path / "a.keras")
    back = helpers.load_model(tmp_path / "a.keras")
    for old, new in zip(model.get_weights(), back.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_model_with_code_inside_is_refused(tmp_path):
    """A file from elsewhere must not bring code that runs when it is opened."""
    inputs = keras.Input((3,))
    double = keras.layers.Lambda(lambda x: x * 2, output_shape=(3,))(inputs)
    keras.Model(inputs, double).save(tmp_path / "a.keras")
    with pytest.raises(ValueError, match=r"^a\.keras is not a model this Keras"):
        helpers.load_model(tmp_path / "a.keras")


@pytest.mark.parametrize(("name", "load"), [
    ("a.json", helpers.load_json), ("a.csv", helpers.load_table), ("a.keras", helpers.load_model),
])  # fmt: skip
@pytest.mark.parametrize("content", [b"", b"\0\1\2\xff", b"epoch,loss\n1,0.5\n2,x"])
def test_what_is_damaged_or_missing_is_named_with_what_to_do(name, load, content, tmp_path):
    with pytest.raises(FileNotFoundError, match=rf"^{name} does not exist; run the notebook"):
        load(tmp_path / name)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"^{name} is .*the notebook that writes it again\.$"):
        load(tmp_path / name)
