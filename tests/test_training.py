"""An adversarial pair under `fit`: steps, metrics, checkpoints, previews, and the stop at NaN."""

import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import helpers
from helpers import callbacks

COUNT, BATCH, SEED = 26, 8, 3
STEPS = COUNT // BATCH
IMAGES = np.random.default_rng(0).integers(0, 256, (COUNT, 8, 8, 1), np.uint8)
SETTINGS = {"batch_size": BATCH, "seed": SEED}
LOSSES = ("discriminator_loss", "generator_loss")
METRICS = (*LOSSES, "real_accuracy", "generated_accuracy")


class ToyGAN(helpers.AdversarialModel):
    """Least squares; `bad_step` makes one loss NaN at that step, counted from 0."""

    bad_step = -1

    def train_step(self, real_images):
        latents = self.sample_latents(real_images.shape[0])
        with tf.GradientTape() as d_tape, tf.GradientTape() as g_tape:
            generated = self.generator(latents, training=True)
            real_logits = self.discriminator(real_images, training=True)
            generated_logits = self.discriminator(generated, training=True)
            d_loss = tf.reduce_mean((real_logits - 1) ** 2 + (generated_logits + 1) ** 2)
            g_loss = tf.reduce_mean((generated_logits - 1) ** 2)
        now = tf.cast(self.generator_optimizer.iterations, tf.int64)
        shown = tf.where(now == self.bad_step, np.nan, g_loss)
        for network, optimizer, tape, loss in (
            (self.discriminator, self.discriminator_optimizer, d_tape, d_loss),
            (self.generator, self.generator_optimizer, g_tape, g_loss),
        ):
            weights = network.trainable_variables
            optimizer.apply(tape.gradient(loss, weights), weights)
        return self.report(d_loss, shown, real_logits, generated_logits)


def make_model(weights_seed=1, seed=SEED, kind=ToyGAN):
    keras.utils.set_random_seed(weights_seed)
    generator = keras.Sequential([
        keras.Input((4,)),
        keras.layers.Dense(16),
        keras.layers.BatchNormalization(momentum=0.8),  # state that no gradient changes
        keras.layers.ReLU(),
        keras.layers.Dense(64, activation="tanh"),
        keras.layers.Reshape((8, 8, 1)),
    ])  # fmt: skip
    discriminator = keras.Sequential([
        keras.Input((8, 8, 1)),
        keras.layers.Flatten(),
        keras.layers.Dense(16, activation="tanh"),
        keras.layers.Dense(1),
    ])  # fmt: skip
    model = kind(generator, discriminator, seed=seed, previews=5)
    model.compile(
        generator_optimizer=keras.optimizers.Adam(0.01, beta_1=0.5),
        discriminator_optimizer=keras.optimizers.Adam(0.02, beta_1=0.5),
    )
    return model


def train(model, folder, epochs):
    """What notebook 4 does: restore, then go on; returns the number of epochs restored."""
    checkpoint = helpers.Checkpoint(folder, SETTINGS)
    first = checkpoint.restore(model)
    model.fit(
        helpers.training_batches(IMAGES, BATCH, SEED, first * STEPS),
        steps_per_epoch=STEPS,
        initial_epoch=first,
        epochs=epochs,
        callbacks=[helpers.StopAtNaN(), helpers.Previews(folder), checkpoint],
        shuffle=False,
        verbose=0,
    )
    return first


def values(model):
    """A copy of every variable, by group and number."""
    return {
        f"{group} {number}": np.copy(variable.numpy())
        for group, variables in model.state().items()
        for number, variable in enumerate(variables)
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Three epochs in one go: the folder and the model."""
    folder = tmp_path_factory.mktemp("whole")
    model = make_model()
    assert train(model, folder, 3) == 0
    return folder, model


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    """Two epochs; then a new model object of other weights, restored, trains the third."""
    folder = tmp_path_factory.mktemp("resumed")
    train(make_model(), folder, 2)
    (folder / "history.csv").unlink()  # written anew from the checkpoint
    model = make_model(weights_seed=99, seed=1234)
    assert train(model, folder, 3) == 2
    return folder, model


def test_training_moves_both_networks(whole):
    before, after = values(make_model()), values(whole[1])
    assert before.keys() == after.keys()
    # Both networks change, and so does the BatchNorm's memory; the random state does not.
    for name in before:
        same = np.array_equal(before[name], after[name])
        constant = name.startswith("random") or name.endswith("optimizer 1")  # learning rate
        assert same == constant, name


def test_resumed_training_equals_an_uninterrupted_one(whole, resumed):
    expected, found = values(whole[1]), values(resumed[1])
    assert expected.keys() == found.keys()
    for name in expected:
        np.testing.assert_array_equal(expected[name], found[name], err_msg=name)
    for network in ("generator", "discriminator"):
        optimizer = getattr(resumed[1], f"{network}_optimizer")
        assert int(optimizer.iterations) == 3 * STEPS


def test_history_has_no_gap_and_no_double_row(whole, resumed):
    expected, found = (helpers.load_table(folder / "history.csv") for folder, _ in (whole, resumed))
    assert next(iter(expected)) == "epoch" and set(expected) == {"epoch", *METRICS}
    np.testing.assert_array_equal(found["epoch"], [1, 2, 3])
    for name in METRICS:
        np.testing.assert_array_equal(expected[name], found[name])
    for name in LOSSES:
        assert len(set(found[name])) == 3


def test_previews_of_every_epoch(whole, resumed):
    frames = [helpers.load_previews(folder, 3) for folder, _ in (whole, resumed)]
    assert frames[0].dtype == np.uint8 and frames[0].shape == (4, 5, 8, 8, 1)
    np.testing.assert_array_equal(*frames)
    names = sorted(path.name for path in (resumed[0] / "previews").iterdir())
    assert names == [f"epoch_{epoch:04d}.npy" for epoch in range(4)]
    # Epoch 0 is the untrained generator, the last one the trained; all come from one set.
    np.testing.assert_array_equal(frames[0][0], helpers.to_uint8(make_model().preview()))
    np.testing.assert_array_equal(frames[0][3], helpers.to_uint8(whole[1].preview()))
    assert len({frame.tobytes() for frame in frames[0]}) == 4


def test_checkpoint_of_a_finished_training_trains_no_more(whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "copy")
    model = make_model(weights_seed=7)
    assert train(model, tmp_path / "copy", 3) == 3
    for name, value in values(whole[1]).items():
        np.testing.assert_array_equal(values(model)[name], value, err_msg=name)
    assert helpers.load_table(tmp_path / "copy" / "history.csv")["epoch"].tolist() == [1, 2, 3]


def test_folder_without_checkpoint_restores_nothing(tmp_path):
    model = make_model()
    before = values(model)
    assert helpers.Checkpoint(tmp_path / "none", SETTINGS).restore(model) == 0
    for name, value in before.items():
        np.testing.assert_array_equal(values(model)[name], value)
    assert list(tmp_path.iterdir()) == []


def test_checkpoint_is_one_file_and_leaves_no_other(whole):
    names = sorted(path.name for path in whole[0].iterdir())
    assert names == ["checkpoint.npz", "history.csv", "previews"]


def test_checkpoint_before_any_epoch(tmp_path):
    model = make_model()
    helpers.Checkpoint(tmp_path, SETTINGS).save(model)
    other = make_model(weights_seed=2, seed=77)
    assert helpers.Checkpoint(tmp_path, SETTINGS).restore(other) == 0
    np.testing.assert_array_equal(model.preview(), other.preview())


def test_settings_may_be_tuples(tmp_path):
    """JSON makes lists of them; equal settings must stay equal."""
    settings = {"image_shape": (8, 8, 1)}
    model = make_model()
    helpers.Checkpoint(tmp_path, settings).save(model)
    assert helpers.Checkpoint(tmp_path, settings).restore(model) == 0


# The model.


def test_latents_follow_seed_and_step():
    model, twin, other = make_model(), make_model(weights_seed=8), make_model(seed=4)

    def draw(of, step):
        of.generator_optimizer.iterations.assign(step)
        return of.sample_latents(6).numpy()

    assert draw(model, 0).shape == (6, 4) and draw(model, 0).dtype == np.float32
    for step in (0, 1, 1000):
        np.testing.assert_array_equal(draw(model, step), draw(twin, step))
        assert not np.allclose(draw(model, step), draw(other, step))
    drawn = {draw(model, step).tobytes() for step in range(20)}
    assert len(drawn) == 20
    assert model.preview_latents.numpy().tobytes() not in drawn


def test_latents_are_standard_normal():
    latents = make_model().sample_latents(5000).numpy()
    np.testing.assert_allclose(latents.mean(axis=0), 0, atol=0.1)
    np.testing.assert_allclose(np.cov(latents.T), np.eye(4), atol=0.1)


def test_preview_is_one_picture_and_changes_nothing():
    model = make_model()
    before = values(model)
    first, second = model.preview(), model.preview()
    assert first.shape == (5, 8, 8, 1) and first.dtype == tf.float32
    np.testing.assert_array_equal(first, second)
    for name, value in before.items():
        np.testing.assert_array_equal(values(model)[name], value)
    expected = model.generator(model.preview_latents.numpy(), training=False)
    np.testing.assert_array_equal(first, expected)


def test_report_on_crafted_logits():
    model = make_model()
    first = model.report(
        1.0, 5.0, tf.constant([[2.0], [-1.0], [0.0], [3.0]]), tf.constant([[-2.0], [0.0]])
    )
    expected = [1, 5, 2 / 4, 1 / 2]  # a logit of 0 is no opinion
    assert [float(first[name]) for name in METRICS] == pytest.approx(expected)
    second = model.report(2.0, 7.0, tf.ones((4, 1)), tf.ones((2, 1)))
    expected = [1.5, 6, 6 / 8, 1 / 4]
    assert [float(second[name]) for name in METRICS] == pytest.approx(expected)


class Counting(helpers.AdversarialModel):
    """Its loss is the number of the step."""

    def train_step(self, real_images):
        step = tf.cast(self.generator_optimizer.iterations, tf.float32)
        self.generator_optimizer.iterations.assign_add(1)
        return self.report(step, step, tf.ones((1, 1)), tf.ones((1, 1)))


def test_every_epoch_has_means_of_its_own():
    history = make_model(kind=Counting).fit(
        helpers.training_batches(IMAGES, BATCH, SEED),
        steps_per_epoch=4,
        epochs=2,
        shuffle=False,
        verbose=0,
    )
    assert history.history["generator_loss"] == [1.5, 5.5]


def test_compile_builds_both_optimizers():
    """Unbuilt, a restored optimizer would begin at step 0 without its moments."""
    model = make_model()
    for network in (model.generator, model.discriminator):
        optimizer = (
            model.generator_optimizer
            if network is model.generator
            else model.discriminator_optimizer
        )
        shapes = [tuple(variable.shape) for variable in optimizer.variables]
        for weight in network.trainable_variables:
            assert shapes.count(tuple(weight.shape)) >= 2  # Adam's two moments
    state = model.state()
    kept = {id(variable) for group in state.values() for variable in group}
    assert {id(variable) for variable in model.variables} - kept <= {
        id(variable) for metric in model.score_metrics for variable in metric.variables
    }


# Stop at NaN.


@pytest.mark.parametrize("step", [0, 1, 2])
def test_nan_stops_at_the_very_step(step, tmp_path):
    model = make_model()
    model.bad_step = STEPS + step  # in the second epoch
    with pytest.raises(FloatingPointError) as caught:
        train(model, tmp_path, 3)
    message = str(caught.value)
    assert "\n" not in message and message.startswith("generator_loss became nan")
    assert f"step {step + 1} of epoch 2" in message and "learning rate" in message
    assert int(model.generator_optimizer.iterations) == STEPS + step + 1
    # What is left is the first epoch, and it can be gone on from.
    assert helpers.load_table(tmp_path / "history.csv")["epoch"].tolist() == [1]
    restored = make_model(weights_seed=5)
    assert helpers.Checkpoint(tmp_path, SETTINGS).restore(restored) == 1
    once = make_model()
    train(once, tmp_path / "once", 1)
    for name, value in values(once).items():
        np.testing.assert_array_equal(values(restored)[name], value, err_msg=name)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", LOSSES)
def test_nan_names_the_loss(name, value):
    callback = helpers.StopAtNaN()
    callback.on_epoch_begin(0)
    logs = dict.fromkeys(METRICS, 0.5)
    callback.on_train_batch_end(0, logs)
    with pytest.raises(FloatingPointError, match=rf"^{name} became -?(nan|inf) at step 8 of epoch"):
        callback.on_train_batch_end(7, logs | {name: value})


def test_full_disk_while_training_leaves_the_last_epoch(tmp_path, monkeypatch):
    """The writing of the second checkpoint fails; the first one stays, and can be gone on from."""
    train(make_model(), tmp_path, 1)
    before = (tmp_path / "checkpoint.npz").read_bytes()

    def fail(file, **arrays):
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", fail)
        with pytest.raises(OSError, match=r"checkpoint\.npz.*No space left"):
            train(make_model(), tmp_path, 2)
    assert (tmp_path / "checkpoint.npz").read_bytes() == before
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["checkpoint.npz", "history.csv", "previews"]


def test_checkpoint_holds_plain_arrays_and_json(whole):
    with np.load(whole[0] / "checkpoint.npz", allow_pickle=False) as file:
        about = json.loads(str(file["about"]))
        assert sorted(name.split("/")[0] for name in file.files if name != "about")
    assert about["settings"] == SETTINGS
    assert [row["epoch"] for row in about["history"]] == [1, 2, 3]


# Previews in a notebook.


def test_previews_are_shown_in_one_place(tmp_path, monkeypatch):
    """In a notebook: one display, updated after each epoch, never a second one."""
    shown, updates = [], []

    class Handle:
        def update(self, picture):
            updates.append(picture)

    def display(picture, display_id):
        assert display_id
        shown.append(picture)
        return Handle()

    monkeypatch.setattr(callbacks, "get_ipython", lambda: object())
    monkeypatch.setattr(callbacks, "display", display)
    previews = helpers.Previews(tmp_path)
    previews.set_model(make_model())
    for epoch in range(4, 7):
        previews.on_epoch_begin(epoch)
        previews.on_epoch_end(epoch)
    assert (len(shown), len(updates)) == (1, 3)
    names = sorted(path.name for path in (tmp_path / "previews").iterdir())
    assert names == [f"epoch_{epoch:04d}.npy" for epoch in range(4, 8)]
