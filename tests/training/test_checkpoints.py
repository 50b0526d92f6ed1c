"""A training that was stopped, killed or damaged goes on exactly, or says in a sentence why not."""

import resource
import shutil
import zipfile

import keras
import numpy as np
import pytest

import helpers
from helpers.files import load_json
from helpers.refused import Refused, Stopped
from helpers.run import newest_record
from tests.training.toy import (
    BATCH,
    CARD,
    SETTINGS,
    STEPS,
    PressStop,
    ToyGAN,
    assert_equal,
    files,
    make_model,
    make_networks,
    train,
    values,
)

FILES = (
    "history.csv",
    "distance.json",
    *(f"previews/step_{step:07d}.npy" for step in range(0, 10, STEPS)),
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Three epochs in one go: the folder and the model's values."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    model = make_model()
    assert train(model, folder, 3) == 0
    return folder, values(model)


@pytest.fixture
def copy(whole, tmp_path):
    return shutil.copytree(whole[0], tmp_path / "run")


def assert_same_files(folder, whole):
    for file in FILES:
        assert (folder / file).read_bytes() == (whole[0] / file).read_bytes(), file


def test_what_a_training_leaves(whole):
    """Two files with what other rooms read from them, and nothing half written."""
    found = sorted(path.name for path in whole[0].iterdir())
    assert found == ["checkpoints", "distance.json", "history.csv", "previews"]
    assert files(whole[0]) == ["epoch_0002.zip", "epoch_0003.zip"]
    with zipfile.ZipFile(whole[0] / "checkpoints" / "epoch_0003.zip") as archive:
        assert sorted(archive.namelist()) == ["model.weights.h5", "record.json"]
        assert "NaN" not in archive.read("record.json").decode()  # which is no JSON
    record = newest_record(whole[0])
    assert record["epoch"] == 3 and [row["epoch"] for row in record["history"]] == [1, 2, 3]
    assert record["settings"] == SETTINGS | {
        "images": "f00d", "data": "own at 8 pixels, gray, profile tiny",
    }  # fmt: skip
    assert len(record["id"]) == 16 and record["precision"] == "float32"
    assert {"floor", "trains"} <= record.keys()


@pytest.mark.parametrize(
    ("step", "epoch_end", "epochs", "same_session"),
    [(1, False, 0, True), (STEPS + 1, False, 1, False)],
)
def test_the_stop_button_costs_no_bit(step, epoch_end, epochs, same_session, whole, tmp_path):
    """One line; then the same session goes on, or a new one with other networks."""
    model = make_model()
    with pytest.raises(Stopped) as caught:
        train(model, tmp_path / "run", 3, PressStop(step, epoch_end))
    assert str(caught.value) == (
        "Stopped. Run this cell again: with RESUME = True a training with checkpoints goes on "
        "after its last finished epoch; one without starts anew."
    )
    assert caught.value._render_traceback_() == [str(caught.value)]
    assert int(model.step) == step
    first_id = newest_record(tmp_path / "run")["id"]
    again = model if same_session else make_model(weights_seed=99, seed=1234)
    assert train(again, tmp_path / "run", 3) == epochs
    assert_equal(again, whole[1])
    assert_same_files(tmp_path / "run", whole)
    assert newest_record(tmp_path / "run")["id"] == first_id


def test_a_finished_training_is_restored_and_trains_no_more(copy, whole):
    (copy / "history.csv").unlink()  # written anew from the checkpoint
    model = make_model(weights_seed=7)
    assert train(model, copy, 3) == 3
    assert_equal(model, whole[1])
    assert_same_files(copy, whole)


def test_an_empty_folder_restores_nothing(tmp_path):
    model = make_model()
    before = values(model)
    assert helpers.Checkpoint(tmp_path / "none", SETTINGS, CARD).restore(model) == 0
    assert_equal(model, before)
    assert list(tmp_path.iterdir()) == []


# Damage


def flip(content):
    """One bit of a weight."""
    place = content.index(b"model.weights.h5") + 20_000
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def test_a_damaged_newest_falls_back_to_the_one_before(copy, whole, capsys):
    newest = copy / "checkpoints" / "epoch_0003.zip"
    content = newest.read_bytes()
    for damaged in (b"", content[: len(content) // 2], flip(content)):
        newest.write_bytes(damaged)
        assert helpers.Checkpoint(copy, SETTINGS, CARD).restore(make_model()) == 2
        line = "epoch_0003.zip is damaged, so an earlier one is needed.\n"
        assert capsys.readouterr().out == line
    model = make_model(weights_seed=4)
    assert train(model, copy, 3) == 2
    assert_equal(model, whole[1])
    assert_same_files(copy, whole)
    assert train(make_model(), copy, 3) == 3


def test_where_every_file_is_damaged_one_sentence_says_so(copy):
    for path in (copy / "checkpoints").iterdir():
        path.write_bytes(b"")
    with pytest.raises(Refused) as caught:
        train(make_model(), copy, 3)
    assert str(caught.value) == (
        "No checkpoint in run can be read. Choose another RUN_NAME, or set RESUME = False and run "
        "all cells to start this run over."
    )
    assert len(files(copy)) == 2


def test_a_full_disk_leaves_the_last_epoch(tmp_path):
    train(make_model(), tmp_path, 1)
    before = (tmp_path / "checkpoints" / "epoch_0001.zip").read_bytes()
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    smaller = (len(before) // 2, usual[1])
    fill = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: resource.setrlimit(resource.RLIMIT_FSIZE, smaller)
    )
    try:
        with pytest.raises(OSError, match=r"^Could not save epoch_0002\.zip \(.*ile too large"):
            train(make_model(), tmp_path, 2, fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert files(tmp_path) == ["epoch_0000.zip", "epoch_0001.zip"]
    assert (tmp_path / "checkpoints" / "epoch_0001.zip").read_bytes() == before


# Another training


def with_optimizer(**changes):
    model = make_model()
    settings = {"learning_rate": 0.02, "beta_1": 0.5} | changes
    model.compile(keras.optimizers.Adam(0.01, beta_1=0.5), keras.optimizers.Adam(**settings))
    return model


def with_networks(**changes):
    return make_model(networks=make_networks(**changes))


def deeper():
    generator, discriminator = make_networks()
    more = keras.Sequential([*generator.layers, keras.layers.ReLU()])
    more.build(generator.input_shape)
    return make_model(networks=(more, discriminator))


def sgd():
    model = make_model()
    model.compile(keras.optimizers.SGD(0.01), keras.optimizers.Adam(0.02, beta_1=0.5))
    return model


class Saturating(ToyGAN):
    """A learner's change of the loss alone."""

    @staticmethod
    def generator_loss(generated_logits):
        return -keras.ops.mean(keras.ops.softplus(generated_logits))


@pytest.mark.parametrize(
    ("build", "settings", "card", "difference"),
    [
        (make_model, {"BATCH_SIZE": 9}, {}, "with BATCH_SIZE 8, now it is 9"),
        (make_model, {"rate": 0.1}, {}, "without rate"),
        (make_model, {}, {"images": "beef"}, "with other images"),
        (lambda: with_networks(units=17), {}, {}, "with generator layer 0 units 16, now it is 17"),
        (lambda: with_networks(last=(keras.layers.Activation, "sigmoid")), {}, {},
         "with generator layer 5 activation tanh, now it is sigmoid"),
        (lambda: with_networks(last=(keras.layers.ELU, 1.0)), {}, {},
         "with generator layer 5 kind Activation, now it is ELU"),
        (deeper, {}, {}, "with generator layer 6 nothing, now it is ReLU"),
        (lambda: with_optimizer(learning_rate=0.25), {}, {},
         "with discriminator's optimizer learning_rate 0.02, now it is 0.25"),
        (lambda: with_optimizer(beta_1=0.25), {}, {},
         "with discriminator's optimizer beta_1 0.5, now it is 0.25"),
        (sgd, {}, {}, "with generator's optimizer kind Adam, now it is SGD"),
        (lambda: with_networks(initializer="he_normal"), {}, {},
         "with generator layer 0 kernel_initializer class_name GlorotUniform, now it is HeNormal"),
        (lambda: make_model(kind=Saturating), {}, {}, "with another generator_loss"),
    ],
)  # fmt: skip
def test_another_training_is_told_before_anything_is_loaded(
    build, settings, card, difference, copy, whole
):
    model = build()
    before = values(model)
    with pytest.raises(Refused) as caught:
        train(model, copy, 3, settings=SETTINGS | settings, card=CARD | card)
    assert str(caught.value) == (
        f"epoch_0003.zip was made {difference}. Choose another RUN_NAME, or set RESUME = "
        "False and run all cells to start this run over."
    )
    assert_equal(model, before)
    assert_same_files(copy, whole)


def test_the_same_images_may_have_moved(copy):
    assert train(make_model(), copy, 3, card=CARD | {"dataset": "/media/moved"}) == 3


class Forgetful(keras.optimizers.Adam):
    """The same name and settings as ever, but variables of another number."""

    def build(self, variables):
        super().build(variables)
        self.add_variable((), name="more")


def test_weights_that_do_not_fit_are_an_error_not_a_warning(tmp_path):
    """Keras only warns, and would go on with an optimizer that has forgotten everything."""
    train(make_model(), tmp_path, 1)
    model = make_model()
    Forgetful.__name__ = "Adam"
    model.compile(keras.optimizers.Adam(0.01, beta_1=0.5), Forgetful(0.02, beta_1=0.5))
    with pytest.raises(Refused, match=r"The weights in epoch_0001\.zip are of another model\."):
        train(model, tmp_path, 2)


def test_another_precision_goes_on_with_the_same_weights(copy, whole, capsys):
    model = make_model(weights_seed=2, precision="mixed_bfloat16")
    assert train(model, copy, 3) == 3
    line = "Goes on in mixed_bfloat16; until now it was float32.\n"
    assert line in capsys.readouterr().out
    assert_equal(model, whole[1])


class Counted(ToyGAN):
    """A learner's own weight, changed in every step."""

    def __init__(self, *networks, **options):
        super().__init__(*networks, **options)
        self.mine = self.add_weight(name="mine", shape=(), initializer="zeros", trainable=False)

    def train_step(self, real_images):
        self.mine.assign_add(1)
        return super().train_step(real_images)


def test_a_learners_own_weights_are_saved_too(tmp_path):
    train(make_model(kind=Counted), tmp_path, 2)
    model = make_model(kind=Counted)
    train(model, tmp_path, 3)
    assert model.mine.numpy() == 3 * STEPS


# Starting over


def test_starting_over_moves_the_earlier_training_aside(copy, whole, capsys):
    """Whole, beside the run's folder, where lesson 5 takes it for no run."""
    for name in ("generator_trained.keras", "training.gif", "metrics.json"):
        (copy / name).write_text(name)
    (copy / "generator.keras").write_text("lesson 3's")
    before = {path.relative_to(copy): path.read_bytes() for path in copy.rglob("*.*")}
    del before[(copy / "generator.keras").relative_to(copy)]
    model = make_model()
    assert helpers.Checkpoint(copy, SETTINGS, CARD).start_over(model) == 0
    assert capsys.readouterr().out.startswith("Starting over; the training that was here is in ")
    assert [path.name for path in copy.iterdir()] == ["generator.keras"]
    aside = copy.parent / "replaced" / "run"
    assert {path.relative_to(aside): path.read_bytes() for path in aside.rglob("*.*")} == before
    assert not list(copy.parent.glob("*/metrics.json"))
    # An empty start has nothing to put aside, and keeps what was put there before.
    helpers.Checkpoint(copy, SETTINGS, CARD).start_over(model)
    assert capsys.readouterr().out == "" and (aside / "checkpoints").is_dir()
    train(model, copy, 1)
    assert files(copy) == ["epoch_0000.zip", "epoch_0001.zip"]


def test_trained_networks_do_not_start_over(copy):
    """Nothing is moved, be it this model, or the cell that makes the model run again."""
    first = make_model()
    train(first, copy, 3)  # restored only
    second = ToyGAN(first.generator, first.discriminator, previews=5)
    second.compile(keras.optimizers.Adam(0.01), keras.optimizers.Adam(0.02))
    before = files(copy)
    for model in (first, second):
        with pytest.raises(Refused) as caught:
            helpers.Checkpoint(copy, SETTINGS, CARD).start_over(model)
        assert str(caught.value) == (
            "These networks have been trained. Run all cells from the top, so that new ones are "
            "made; or, to go on with a saved training, set RESUME = True and run this cell again."
        )
        with pytest.raises(Refused):
            helpers.Checkpoint(copy / "new", SETTINGS, CARD).restore(model)
    assert files(copy) == before
    assert train(first, copy, 3) == 3  # with RESUME = True
    stopped = make_model()
    with pytest.raises(Stopped):
        train(stopped, copy / "stopped", 1, PressStop(1))
    with pytest.raises(Refused, match=r"These networks have been trained\."):
        helpers.Checkpoint(copy / "stopped", SETTINGS, CARD).start_over(stopped)


def test_a_step_that_fails_at_once_can_be_mended(tmp_path):
    """The networks have not trained yet, so a new model may start with them."""

    class Broken(ToyGAN):
        def train_step(self, real_images):
            raise AttributeError("a typo")

    first = make_model(kind=Broken)
    with pytest.raises(AttributeError, match="a typo"):
        train(first, tmp_path, 1)
    assert helpers.Checkpoint(tmp_path, SETTINGS, CARD).start_over(first) == 0
    assert train(make_model(networks=(first.generator, first.discriminator)), tmp_path, 1) == 0


# What ends a training


def test_nan_stops_at_the_very_step_and_goes_back(tmp_path):
    model, clean = make_model(), make_model()
    train(clean, tmp_path / "clean", 1)
    expected = values(clean)
    model.bad_step = STEPS
    with pytest.raises(Stopped) as caught:
        train(model, tmp_path / "run", 3)
    assert str(caught.value) == (
        f"generator_loss became nan at step {STEPS + 1}, in epoch 2. The networks are back in "
        "the state before that epoch. Take smaller learning rates, in a new run (RUN_NAME), and "
        "check that the images lie in [-1, 1]."
    )
    assert_equal(model, expected)


class Twice(ToyGAN):
    def report(self, *values):
        super().report(*values)
        return super().report(*values)


def test_a_train_step_that_does_not_report_once_is_told_so_at_once(tmp_path):
    with pytest.raises(Refused, match=r"must end with `return self.report\(...\)`, once"):
        train(make_model(kind=Twice), tmp_path, 2)
    assert files(tmp_path) == ["epoch_0000.zip"]


# The best generator


def test_the_best_generator_is_that_of_the_smallest_distance(tmp_path):
    checkpoint = helpers.Checkpoint(tmp_path, SETTINGS, CARD)
    checkpoint.floor = {"value": 0.5}
    model = make_model(ema_decay=0.0)
    checkpoint.set_model(model)
    weight, kept = model.generator.trainable_variables[0], model.best_generator.variables[0]
    found = []
    for epoch, distance in enumerate([None, 5.0, None, 2.0, 2.0, 3.0]):
        weight.assign(np.full(weight.shape, epoch + 1.0))
        checkpoint.on_epoch_end(epoch, {"generator_loss": 0.5, "distance": distance or np.nan})
        found.append(float(np.mean(kept)))
    assert found == [1, 2, 2, 4, 4, 4]  # until there is a distance, the last; of equals, the first
    assert load_json(tmp_path / "distance.json")["best"] == {"value": 2, "epoch": 4}
    other = make_model(weights_seed=9, ema_decay=0.0)
    assert helpers.Checkpoint(tmp_path, SETTINGS, CARD).restore(other) == 6
    assert float(np.mean(other.best_generator.variables[0])) == 4
    assert float(np.mean(other.generator.trainable_variables[0])) == 6


def test_the_best_generator_is_a_whole_trainable_one(copy, tmp_path):
    model = make_model()
    train(model, copy, 3)
    helpers.save_model(model.best_generator, tmp_path / "generator_best.keras")
    loaded = helpers.load_model(tmp_path / "generator_best.keras")
    latents = model.sample_latents(BATCH)
    np.testing.assert_array_equal(loaded(latents), model.ema_generator(latents))
    assert len(loaded.trainable_variables) == len(model.generator.trainable_variables)


def test_a_training_that_goes_back_forgets_its_later_distances(copy):
    (copy / "checkpoints" / "epoch_0003.zip").unlink()
    assert helpers.Checkpoint(copy, SETTINGS, CARD).restore(make_model()) == 2
    assert not (copy / "distance.json").exists()
    assert helpers.load_table(copy / "history.csv")["epoch"].tolist() == [1, 2]
