"""An adversarial pair under `fit`: steps, metrics, checkpoints, previews, and what stops it."""

import json
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import imageio.v3 as iio
import keras
import numpy as np
import pytest
import tensorflow as tf

import helpers
from helpers import callbacks, pictures
from helpers.training.history import diagnose
from helpers.notebook import Refused, Stopped
from helpers.evaluation.features import random_features
from helpers.files import load_json, save_table
from helpers.training.options import standard_normal
from helpers.training.interrupt import postponed_interrupt

COUNT, BATCH, SEED = 26, 8, 3
STEPS = COUNT // BATCH
IMAGES = np.random.default_rng(0).integers(0, 256, (COUNT, 8, 8, 1), np.uint8)
HELD_OUT = np.random.default_rng(1).integers(0, 256, (20, 8, 8, 1), np.uint8)
SETTINGS = {"batch_size": BATCH, "seed": SEED}
LOSSES = ("discriminator_loss", "generator_loss")
METRICS = (*LOSSES, "real_accuracy", "generated_accuracy", "gradient_norm")
MEASURED = ("pixel_std", "distance")


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
        shown = tf.where(tf.equal(self.step, self.bad_step), np.nan, g_loss)
        d_weights = self.discriminator.trainable_variables
        g_weights = self.generator.trainable_variables
        g_gradients = g_tape.gradient(g_loss, g_weights)
        self.discriminator_optimizer.apply(d_tape.gradient(d_loss, d_weights), d_weights)
        self.generator_optimizer.apply(g_gradients, g_weights)
        return self.report(d_loss, shown, real_logits, generated_logits, g_gradients)


def make_model(weights_seed=1, seed=SEED, kind=ToyGAN, memory=0.0):
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
    model = kind(generator, discriminator, seed=seed, previews=5, memory=memory)
    model.compile(
        generator_optimizer=keras.optimizers.Adam(0.01, beta_1=0.5),
        discriminator_optimizer=keras.optimizers.Adam(0.02, beta_1=0.5),
    )
    return model


def train(model, folder, epochs, *more, held_out=HELD_OUT):
    """What notebook 4 does: restore, then go on; returns the number of steps restored."""
    checkpoint = helpers.Checkpoint(folder, STEPS, SETTINGS)
    first = checkpoint.restore(model)
    run = SimpleNamespace(folder=folder, drive=None)
    card = {"dataset": "own", "title": "noise", "labelled": False, "image_shape": [8, 8, 1]}
    images = SimpleNamespace(card=card, train_images=IMAGES, test_images=held_out)
    model.fit(
        helpers.training_batches(IMAGES, BATCH, SEED, first),
        steps_per_epoch=STEPS,
        epochs=epochs,
        first_step=first,
        callbacks=[*more, *helpers.training_callbacks(run, images, checkpoint, epochs)],
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
    """Stopped after two epochs; then a new model object of other weights trains the third."""
    folder = tmp_path_factory.mktemp("resumed")
    with pytest.raises(Stopped):
        train(make_model(), folder, 3, PressStop(2 * STEPS, epoch_end=True))
    (folder / "history.csv").unlink()  # written anew from the checkpoint
    model = make_model(weights_seed=99, seed=1234)
    assert train(model, folder, 3) == 2 * STEPS
    return folder, model


def test_training_moves_both_networks(whole):
    before, after = values(make_model()), values(whole[1])
    assert before.keys() == after.keys()
    # Both networks change, and so does the BatchNorm's memory; the random state does not.
    for name in before:
        same = np.array_equal(before[name], after[name])
        constant = ("random 0", "random 2")  # seed and preview latents
        assert same == (name in constant or name.endswith("optimizer 1")), name  # learning rate


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
    assert next(iter(expected)) == "epoch" and set(expected) == {"epoch", *METRICS, *MEASURED}
    np.testing.assert_array_equal(found["epoch"], [1, 2, 3])
    for name in (*METRICS, *MEASURED):
        np.testing.assert_array_equal(expected[name], found[name])
    for name in LOSSES:
        assert len(set(found[name])) == 3


def test_previews_of_every_epoch(whole, resumed):
    frames = [helpers.load_previews(folder, 3) for folder, _ in (whole, resumed)]
    assert frames[0].dtype == np.uint8 and frames[0].shape == (4, 5, 8, 8, 1)
    np.testing.assert_array_equal(*frames)
    found = sorted(path.name for path in (resumed[0] / "previews").iterdir())
    assert found == [f"epoch_{epoch:04d}.npy" for epoch in range(4)]
    # Epoch 0 is the untrained generator, the last one the trained; all come from one set.
    np.testing.assert_array_equal(frames[0][0], helpers.to_uint8(make_model().preview()))
    np.testing.assert_array_equal(frames[0][3], helpers.to_uint8(whole[1].preview()))
    assert len({frame.tobytes() for frame in frames[0]}) == 4


def test_checkpoint_of_a_finished_training_trains_no_more(whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "copy")
    model = make_model(weights_seed=7)
    assert train(model, tmp_path / "copy", 3) == 3 * STEPS
    for name, value in values(whole[1]).items():
        np.testing.assert_array_equal(values(model)[name], value, err_msg=name)
    assert helpers.load_table(tmp_path / "copy" / "history.csv")["epoch"].tolist() == [1, 2, 3]


def test_folder_without_checkpoint_restores_nothing(tmp_path):
    model = make_model()
    before = values(model)
    assert helpers.Checkpoint(tmp_path / "none", STEPS, SETTINGS).restore(model) == 0
    for name, value in before.items():
        np.testing.assert_array_equal(values(model)[name], value)
    assert list(tmp_path.iterdir()) == []


def test_training_leaves_nothing_else(whole):
    found = sorted(path.name for path in whole[0].iterdir())
    assert found == ["checkpoints", "distance.json", "history.csv", "previews"]


def test_checkpoint_before_any_epoch(tmp_path):
    model = make_model()
    helpers.Checkpoint(tmp_path, STEPS, SETTINGS).save(model)
    other = make_model(weights_seed=2, seed=77)
    assert helpers.Checkpoint(tmp_path, STEPS, SETTINGS).restore(other) == 0
    np.testing.assert_array_equal(model.preview(), other.preview())


def test_settings_may_be_tuples(tmp_path):
    """JSON makes lists of them; equal settings must stay equal."""
    settings = {"image_shape": (8, 8, 1)}
    model = make_model()
    helpers.Checkpoint(tmp_path, STEPS, settings).save(model)
    assert helpers.Checkpoint(tmp_path, STEPS, settings).restore(model) == 0


# The model.


def test_latents_follow_seed_and_step():
    model, twin, other = make_model(), make_model(weights_seed=8), make_model(seed=4)

    def draw(of, step):
        of.step.assign(step)
        return of.sample_latents(6).numpy()

    assert draw(model, 0).shape == (6, 4) and draw(model, 0).dtype == np.float32
    for step in (0, 1, 1000):
        np.testing.assert_array_equal(draw(model, step), draw(twin, step))
        assert not np.allclose(draw(model, step), draw(other, step))
    drawn = {draw(model, step).tobytes() for step in range(20)}
    assert len(drawn) == 20
    assert model.fixed_latents.numpy().tobytes() not in drawn


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
    expected = model.generator(model.fixed_latents.numpy(), training=False)
    np.testing.assert_array_equal(first, expected)


def test_report_on_crafted_logits():
    model = make_model()
    real, generated = tf.constant([[2.0], [-1.0], [0.0], [3.0]]), tf.constant([[-2.0], [0.0]])
    first = model.report(1.0, 5.0, real, generated, [tf.constant([3.0, 0.0]), tf.constant(4.0)])
    expected = [1, 5, 2 / 4, 1 / 2, 5]  # a logit of 0 is no opinion
    assert [float(first[name]) for name in METRICS] == pytest.approx(expected)
    second = model.report(2.0, 7.0, tf.ones((4, 1)), tf.ones((2, 1)), [tf.constant(1.0)])
    expected = [1.5, 6, 6 / 8, 1 / 4, 3]
    assert [float(second[name]) for name in METRICS] == pytest.approx(expected)
    # Where float16 overflowed, the optimizer takes no step, and the norm's mean leaves it out.
    third = model.report(2.0, 7.0, tf.ones((4, 1)), tf.ones((2, 1)), [tf.constant(np.inf)])
    assert float(third["gradient_norm"]) == 3
    assert int(model.step) == 3


class Counting(helpers.AdversarialModel):
    """Its loss is the number of the step."""

    def train_step(self, real_images):
        step = tf.cast(self.step, tf.float32)
        return self.report(step, step, tf.ones((1, 1)), tf.ones((1, 1)), [step])


def test_every_epoch_has_means_of_its_own():
    history = make_model(kind=Counting).fit(
        helpers.training_batches(IMAGES, BATCH, SEED),
        steps_per_epoch=4,
        epochs=2,
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
    assert {id(variable) for variable in model.variables} <= kept
    assert len(kept) == sum(len(group) for group in state.values())  # none is saved twice


# Stop at NaN.


@pytest.mark.parametrize("step", [0, 1, 2])
def test_nan_stops_at_the_very_step_and_goes_back(step, tmp_path):
    model = make_model()
    model.bad_step = STEPS + step  # in the second epoch
    with pytest.raises(Stopped) as caught:
        train(model, tmp_path, 3)
    message = str(caught.value)
    assert "\n" not in message and message.startswith("generator_loss became nan")
    assert f"at step {STEPS + step + 1} (epoch 2)" in message and "learning rate" in message
    # What is left, in the file and in the session, is the first epoch, to be gone on from.
    assert helpers.load_table(tmp_path / "history.csv")["epoch"].tolist() == [1]
    once = make_model()
    train(once, tmp_path / "once", 1)
    for name, value in values(once).items():
        np.testing.assert_array_equal(values(model)[name], value, err_msg=name)
    restored = make_model(weights_seed=5)
    assert helpers.Checkpoint(tmp_path, STEPS, SETTINGS).restore(restored) == STEPS
    for name, value in values(once).items():
        np.testing.assert_array_equal(values(restored)[name], value, err_msg=name)


def test_nan_in_the_first_epoch_says_that_nothing_is_saved(tmp_path):
    model = make_model()
    model.bad_step = 1
    with pytest.raises(Stopped, match="Nothing is saved yet, so run all cells"):
        train(model, tmp_path, 3)
    assert not list(tmp_path.glob("checkpoints/*"))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", LOSSES)
def test_nan_names_the_loss(name, value, tmp_path):
    callback = callbacks.StopAtNaN(helpers.Checkpoint(tmp_path, STEPS, SETTINGS))
    callback.set_model(make_model())
    callback.on_epoch_begin(0)
    logs = dict.fromkeys(METRICS, 0.5)
    callback.on_train_batch_end(0, logs)
    callback.model.step.assign(8)
    with pytest.raises(Stopped, match=rf"^{name} became -?(nan|inf) at step 8 \(epoch 1\)"):
        callback.on_train_batch_end(7, logs | {name: value})


def test_a_notebook_shows_the_sentence_alone():
    assert Stopped("What happened.")._render_traceback_() == ["What happened."]


# The stop button.


class PressStop(keras.callbacks.Callback):
    """Interrupts this process, as a kernel's stop button does, after a number of steps."""

    def __init__(self, step, epoch_end=False):
        super().__init__()
        self.step, self.epoch_end = step, epoch_end

    def on_train_batch_end(self, batch, logs=None):
        if not self.epoch_end and int(self.model.step) == self.step:
            signal.raise_signal(signal.SIGINT)

    def on_epoch_end(self, epoch, logs=None):
        if self.epoch_end and int(self.model.step) == self.step:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(
    ("step", "epoch_end"),
    [(1, False), (STEPS - 1, False), (STEPS, False), (STEPS, True), (STEPS + 1, False)],
)
def test_interrupted_training_saves_the_step_and_goes_on_exactly(step, epoch_end, whole, tmp_path):
    model = make_model()
    usual = signal.getsignal(signal.SIGINT)
    with pytest.raises(Stopped) as caught:
        train(model, tmp_path, 3, PressStop(step, epoch_end))
    assert signal.getsignal(signal.SIGINT) is usual
    assert str(caught.value) == (
        f"Stopped at step {step}, in epoch {1 + (step > STEPS)}; all is saved. "
        "To go on, run this cell again with RESUME = True."
    )
    # The same session goes on; so does a new one, from the file alone.
    shutil.copytree(tmp_path, tmp_path / "elsewhere")
    assert train(model, tmp_path, 3) == step
    other = make_model(weights_seed=6, seed=66)
    assert train(other, tmp_path / "elsewhere", 3) == step
    for found, folder in ((model, tmp_path), (other, tmp_path / "elsewhere")):
        for name, value in values(whole[1]).items():
            np.testing.assert_array_equal(values(found)[name], value, err_msg=name)
        for file in ("history.csv", *(f"previews/epoch_{epoch:04d}.npy" for epoch in range(4))):
            assert (folder / file).read_bytes() == (whole[0] / file).read_bytes(), file


def test_two_interrupts_in_one_epoch(whole, tmp_path):
    model = make_model()
    for step in (STEPS + 1, STEPS + 2):
        with pytest.raises(Stopped):
            train(model, tmp_path, 3, PressStop(step))
    train(model, tmp_path, 3)
    for name, value in values(whole[1]).items():
        np.testing.assert_array_equal(values(model)[name], value, err_msg=name)


@pytest.fixture
def foreground():
    """A shell's background job ignores SIGINT from its start; here it is as in a terminal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_second_press_does_not_wait(foreground):
    with pytest.raises(KeyboardInterrupt), postponed_interrupt() as interrupt:
        signal.raise_signal(signal.SIGINT)
        assert interrupt.is_set()
        signal.raise_signal(signal.SIGINT)


def test_a_thread_trains_too(tmp_path):
    """Only the main thread may set signal handlers."""
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(train, make_model(), tmp_path, 1).result() == 0


def test_networks_that_have_trained_do_not_start_over(tmp_path):
    model = make_model()
    train(model, tmp_path, 1)
    with pytest.raises(Refused, match=r"have been trained\. .* RESUME = True; .* top"):
        train(model, tmp_path / "new", 1)


# Checkpoints: how many, which, and what is done with damaged ones.


def names(folder):
    return [path.name for path in sorted((folder / "checkpoints").iterdir())]


def test_the_newest_two_are_kept(whole):
    assert names(whole[0]) == [f"step_{epoch * STEPS:07d}.npz" for epoch in (2, 3)]


def damage_truncate(content):
    return content[: len(content) // 2]


def damage_flip(content):
    """One bit of a weight: the zip's own checksum sees it."""
    place = content.index(b"generator/000.npy") + 300  # behind its headers
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def damage_empty(content):
    return b""


@pytest.mark.parametrize("damage", [damage_truncate, damage_flip, damage_empty])
def test_a_damaged_newest_falls_back_to_the_one_before(damage, whole, tmp_path, capsys):
    folder = tmp_path / "copy"
    shutil.copytree(whole[0], folder)
    newest = folder / "checkpoints" / names(folder)[-1]
    newest.write_bytes(damage(newest.read_bytes()))
    model = make_model(weights_seed=4)
    assert train(model, folder, 3) == 2 * STEPS
    line = capsys.readouterr().out.splitlines()[0]
    assert line == f"Damaged: {newest.name}; taken instead: step_{2 * STEPS:07d}.npz."
    for name, value in values(whole[1]).items():
        np.testing.assert_array_equal(values(model)[name], value, err_msg=name)
    assert newest.read_bytes() == (whole[0] / "checkpoints" / newest.name).read_bytes()


def test_an_exchanged_array_is_noticed(whole, tmp_path, capsys):
    """A whole zip with another number in it: only the SHA-256 of all arrays sees it."""
    folder = tmp_path / "copy"
    shutil.copytree(whole[0], folder)
    newest = folder / "checkpoints" / names(folder)[-1]
    with np.load(newest) as file:
        arrays = dict(file)
    arrays["generator/000"] = arrays["generator/000"] + 1
    np.savez(newest, **arrays)
    assert train(make_model(), folder, 2) == 2 * STEPS
    assert capsys.readouterr().out.startswith("Damaged: ")


def test_where_every_file_is_damaged_one_sentence_says_so(whole, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(whole[0], folder)
    for name in names(folder):
        (folder / "checkpoints" / name).write_bytes(b"")
    with pytest.raises(ValueError, match=r"No checkpoint .*RESUME = False") as caught:
        train(make_model(), folder, 3)
    assert "\n" not in str(caught.value)
    assert len(names(folder)) == 2


def test_starting_over_puts_the_earlier_training_aside(whole, tmp_path, capsys):
    """RESUME = False loses nothing, and what it makes is the new training's alone."""
    folder = tmp_path / "copy"
    shutil.copytree(whole[0], folder)
    before = {path.relative_to(whole[0]): path for path in whole[0].rglob("*") if path.is_file()}
    for name in ("generator_trained.keras", "generator_best.keras", "training.gif", "metrics.json"):
        before[name] = folder / name  # of lessons 4 and 5
        before[name].write_text(name)
    (folder / "generator.keras").write_text("lesson 3's")
    contents = {name: path.read_bytes() for name, path in before.items()}
    assert helpers.Checkpoint(folder, STEPS, SETTINGS).start_over() == 0
    assert capsys.readouterr().out.startswith("Starting over; the training that was here is in ")
    assert {path.name for path in folder.iterdir()} == {"replaced", "generator.keras"}
    for name, content in contents.items():
        assert (folder / "replaced" / name).read_bytes() == content
    # An empty start has nothing to put aside, and keeps what was put there before.
    assert helpers.Checkpoint(folder, STEPS, SETTINGS).start_over() == 0
    assert capsys.readouterr().out == "" and (folder / "replaced" / "checkpoints").is_dir()
    train(make_model(), folder, 1)
    assert names(folder) == [f"step_{STEPS:07d}.npz"]


def test_networks_of_another_model_object_do_not_start_over(tmp_path):
    """The cell that makes the model, run again, finds trained networks."""
    first = make_model()
    train(first, tmp_path / "first", 1)
    second = ToyGAN(first.generator, first.discriminator, seed=SEED, previews=5)
    second.compile(keras.optimizers.Adam(0.01, beta_1=0.5), keras.optimizers.Adam(0.02, beta_1=0.5))
    with pytest.raises(Refused, match="have been trained"):
        train(second, tmp_path / "second", 1)
    assert train(second, tmp_path / "first", 2) == STEPS  # from a checkpoint it goes on


def test_the_step_is_traced_once(tmp_path):
    """TensorFlow runs the Python of a step when it traces it, and never again."""
    runs = []

    class Counting(ToyGAN):
        def train_step(self, real_images):
            runs.append(real_images.shape)
            return super().train_step(real_images)

    train(make_model(kind=Counting, memory=0.9), tmp_path, 3)
    assert runs == [(BATCH, 8, 8, 1)]


def test_a_step_that_fails_at_once_can_be_mended(tmp_path):
    """The networks have not trained yet, so a new model may start with them."""

    class Broken(ToyGAN):
        def train_step(self, real_images):
            raise AttributeError("a typo")

    first = make_model(kind=Broken)
    with pytest.raises(AttributeError, match="a typo"):
        train(first, tmp_path, 1)
    mended = ToyGAN(first.generator, first.discriminator, seed=SEED, previews=5)
    mended.compile(keras.optimizers.Adam(0.01), keras.optimizers.Adam(0.02))
    assert train(mended, tmp_path, 1) == 0


def test_no_epochs_are_refused(tmp_path):
    with pytest.raises(Refused, match=r"EPOCHS is -1; .* at least 1"):
        train(make_model(), tmp_path, -1)


class Twice(ToyGAN):
    def report(self, *values):
        super().report(*values)
        return super().report(*values)


class OwnNames(ToyGAN):
    def report(self, *values):
        return {"mine": super().report(*values)["generator_loss"]}


class Uncounted(ToyGAN):
    def report(self, d_loss, g_loss, *values):
        return {"discriminator_loss": d_loss, "generator_loss": g_loss}


@pytest.mark.parametrize("kind", [Twice, OwnNames, Uncounted])
def test_a_train_step_that_does_not_report_is_told_so_at_once(kind, tmp_path):
    with pytest.raises(Refused, match=r"must end with `return self.report\(...\)`, once"):
        train(make_model(kind=kind), tmp_path, 2)
    assert not list(tmp_path.rglob("*.npz"))


def test_a_step_may_draw_twice():
    model = make_model()
    first, second = model.sample_latents(6), model.sample_latents(6, draw=1)
    np.testing.assert_array_equal(first, model.sample_latents(6, draw=0))
    assert not np.allclose(first, second)
    assert not np.allclose(second, make_model(seed=SEED + 1).sample_latents(6))


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


def test_a_new_column_has_no_values_before(tmp_path):
    rows = [{"epoch": 1, "a": 0.5}, {"epoch": 2, "a": 0.25, "b": 3.0}]
    save_table(tmp_path / "history.csv", rows)
    found = helpers.load_table(tmp_path / "history.csv")
    np.testing.assert_array_equal(found["b"], [np.nan, 3])


@pytest.mark.parametrize(("scale", "words"), [(3.0, "-3 and 3"), (np.nan, "nan and nan")])
def test_a_generator_that_makes_no_images_is_told_so(scale, words, tmp_path):
    model = make_model()
    train(model, tmp_path, 1)
    model.preview = lambda: scale * tf.constant([-1.0, 1.0])
    with pytest.raises(Refused, match=f"pixels lie between {words}; .* tanh"):
        train(model, tmp_path, 2)
    assert names(tmp_path) == [f"step_{STEPS:07d}.npz"]


def test_nan_in_a_new_start_does_not_bring_the_earlier_training_back(whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "copy")
    checkpoint = helpers.Checkpoint(tmp_path / "copy", STEPS, SETTINGS)
    callback = callbacks.StopAtNaN(checkpoint)
    callback.set_model(make_model())
    callback.on_epoch_begin(0)
    with pytest.raises(Stopped, match="Nothing is saved yet"):
        callback.on_train_batch_end(0, {"generator_loss": np.nan})


def test_the_last_good_state_is_kept(tmp_path):
    checkpoint = helpers.Checkpoint(tmp_path, 1, SETTINGS)
    checkpoint.set_model(make_model())
    good = dict.fromkeys(METRICS, 0.7) | {"pixel_std": 0.8}
    for epoch, variety in enumerate([0.8, 0.8, 0.0, 0.0, 0.0]):
        checkpoint.model.step.assign(epoch + 1)
        checkpoint.on_epoch_end(epoch, good | {"pixel_std": variety})
    assert names(tmp_path) == [f"step_{step:07d}.npz" for step in (2, 4, 5)]
    # A new session knows it, too.
    again = helpers.Checkpoint(tmp_path, 1, SETTINGS)
    again.set_model(make_model())
    again.restore(again.model)
    again.model.step.assign(6)
    again.on_epoch_end(5, good | {"pixel_std": 0.0})
    assert names(tmp_path) == [f"step_{step:07d}.npz" for step in (2, 5, 6)]
    again.model.step.assign(7)
    again.on_epoch_end(6, good)
    assert names(tmp_path) == [f"step_{step:07d}.npz" for step in (6, 7)]


@pytest.mark.parametrize("name", ["learning_rate", "beta_1"])
def test_another_optimizer_is_told(name, whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "copy")
    model = make_model()
    model.compile(
        keras.optimizers.Adam(0.01, beta_1=0.5),
        keras.optimizers.Adam(**({"learning_rate": 0.02, "beta_1": 0.5} | {name: 0.25})),
    )
    with pytest.raises(
        ValueError, match=f"made with discriminator's optimizer {name} .* now it is 0.25"
    ):
        train(model, tmp_path / "copy", 3)


# The distance to real pictures, and the best generator.


def in_the_newest(folder):
    """The history and the floor of the newest checkpoint, and its best generator's arrays."""
    with np.load(max((folder / "checkpoints").glob("*.npz"))) as file:
        about = json.loads(str(file["about"]))
        best = [file[name] for name in sorted(file.files) if name.startswith("best_generator/")]
    return about["history"], about["floor"], best


def test_the_distance_is_that_of_fixed_latents_to_held_out_images(whole):
    folder, model = whole
    history, floor, best = in_the_newest(folder)
    real = random_features(HELD_OUT)
    latents = standard_normal((len(HELD_OUT), 4), (SEED, -2))
    drawn = random_features(model.generator(latents, training=False).numpy())
    expected = helpers.frechet_distance(drawn, real)
    assert [row["distance"] for row in history] == [None, None, pytest.approx(expected, rel=1e-3)]
    assert (folder / "history.csv").read_text(encoding="utf-8").splitlines()[1].endswith(",")
    np.testing.assert_array_equal(
        helpers.load_table(folder / "history.csv")["distance"],
        [np.nan, np.nan, history[2]["distance"]],
    )
    # The floor: as many training images, of the whole set, and all that it depends on.
    evenly = random_features(IMAGES[np.linspace(0, COUNT - 1, len(HELD_OUT)).astype(int)])
    assert floor["value"] == pytest.approx(helpers.frechet_distance(evenly, real))
    assert floor["real"] == floor["generated"] == len(HELD_OUT) and floor["seed"] == SEED
    assert floor["space"]["name"].startswith("random convolutions")
    record = load_json(folder / "distance.json")
    best_record = floor | {"value": history[2]["distance"], "epoch": 3}
    assert record == {"floor": floor, "best": best_record}
    for array, weight in zip(best, model.generator.variables, strict=True):
        np.testing.assert_array_equal(array, weight)


def test_the_best_generator_is_that_of_the_smallest_distance(tmp_path):
    checkpoint = helpers.Checkpoint(tmp_path, 1, SETTINGS)
    checkpoint.floor = {"value": 0.5}
    model = make_model()
    checkpoint.set_model(model)
    weight, kept = model.generator.trainable_variables[0], model.best_generator.variables[0]
    found = []
    for epoch, distance in enumerate([None, 5.0, None, 2.0, 2.0, 3.0]):
        weight.assign(np.full(weight.shape, epoch + 1.0))
        model.step.assign(epoch + 1)
        logs = dict.fromkeys(METRICS, 0.5) | {"distance": distance or np.nan}
        checkpoint.on_epoch_end(epoch, logs)
        weight.assign(weight - 0.5)
        checkpoint.save(model)  # as the stop button does, in the middle of the next epoch
        found.append(float(np.mean(kept)))
    # Without a distance, what is saved; then the best, the first of equals.
    assert found == [0.5, 2, 2, 4, 4, 4]
    assert load_json(tmp_path / "distance.json")["best"] == {"value": 2, "epoch": 4}
    other = make_model(weights_seed=9)
    assert helpers.Checkpoint(tmp_path, 1, SETTINGS).restore(other) == 6
    assert float(np.mean(other.best_generator.variables[0])) == 4
    assert float(np.mean(other.generator.trainable_variables[0])) == 5.5


def test_the_best_generator_is_a_whole_trainable_one(whole, tmp_path):
    model = whole[1]
    helpers.save_model(model.best_generator, tmp_path / "generator_best.keras")
    loaded = helpers.load_model(tmp_path / "generator_best.keras")
    latents = model.sample_latents(6)
    np.testing.assert_array_equal(loaded(latents), model.best_generator(latents))
    assert len(loaded.trainable_variables) == len(model.generator.trainable_variables)


LESSON = helpers.taught("04_training")


class Averaging(ToyGAN):
    def train_step(self, real_images):
        latents = self.sample_latents(real_images.shape[0])
        logs = super().train_step(real_images)
        step = self.step - 1
        LESSON.follow(self.ema_generator, self.generator, latents, step, self.memory)
        return logs


def test_an_average_follows_the_generator():
    model = make_model(kind=Averaging, memory=0.5)
    weight, average = (
        network.trainable_variables[0] for network in (model.generator, model.ema_generator)
    )
    expected = weight.numpy().astype(np.float64)
    for step in range(8):
        before = weight.numpy()
        model.train_step(tf.zeros((BATCH, 8, 8, 1)))
        assert not np.array_equal(weight, before)
        kept = min(0.5, (1 + step) / (10 + step))
        expected = kept * expected + (1 - kept) * weight.numpy()
        np.testing.assert_allclose(average, expected, rtol=1e-4, atol=1e-6)


def test_the_average_gathers_statistics_of_its_own():
    model = make_model(kind=Averaging, memory=0.9)
    average = model.ema_generator
    kernel, bias = average.layers[0].weights
    gathered = [np.asarray(v) for v in average.non_trainable_variables]
    for _ in range(4):
        latents = np.asarray(model.sample_latents(BATCH))
        model.train_step(tf.zeros((BATCH, 8, 8, 1)))
        inputs = latents @ np.asarray(kernel) + np.asarray(bias)
        for index, batch in enumerate((inputs.mean(0), inputs.var(0))):
            gathered[index] = 0.8 * gathered[index] + 0.2 * batch
            found = average.non_trainable_variables[index]
            np.testing.assert_allclose(found, gathered[index], rtol=1e-4, atol=1e-5)


def test_the_average_is_what_is_drawn_measured_and_kept(tmp_path):
    model = make_model(kind=Averaging, memory=0.9)
    train(model, tmp_path, 3)
    last = tmp_path / "previews" / "epoch_0003.npy"
    drawn = model.ema_generator(tf.convert_to_tensor(model.fixed_latents), training=False)
    np.testing.assert_array_equal(np.load(last), helpers.to_uint8(drawn))
    for best, mean in zip(model.best_generator.variables, model.ema_generator.variables):
        np.testing.assert_array_equal(best, mean)  # only the last epoch is measured
    other = make_model(weights_seed=99, seed=5, kind=Averaging, memory=0.9)
    assert train(other, tmp_path, 3) == 3 * STEPS
    for restored, mean in zip(other.ema_generator.variables, model.ema_generator.variables):
        np.testing.assert_array_equal(restored, mean)


def test_without_a_memory_the_average_is_the_generator_itself():
    model = make_model()
    assert model.ema_generator is model.generator
    assert not model.state()["ema_generator"]


@pytest.mark.parametrize("memory", [-0.1, 1.0, 2])
def test_a_memory_is_a_share(memory):
    with pytest.raises(ValueError, match=rf"memory of the average is {memory}; it lies from 0"):
        make_model(memory=memory)


def test_every_third_epoch_and_the_last_are_measured(tmp_path):
    model = make_model()
    with pytest.raises(Stopped):  # the rest of an epoch is a `fit` of its own, whose last it is
        train(model, tmp_path, 4, PressStop(STEPS + 1))
    train(model, tmp_path, 4)
    history, _, _ = in_the_newest(tmp_path)
    assert [row["distance"] is not None for row in history] == [False, False, True, True]


class Elsewhere:
    """Another feature space: brighter by a half."""

    name, sha256 = "another space", "0" * 64

    def extract_features(self, images):
        return 1.5 * random_features(images), None

    def record(self):
        return {"name": self.name, "sha256": self.sha256}


@pytest.mark.parametrize("change", ["space", "number"])
def test_distances_of_two_kinds_never_share_a_curve(change, tmp_path, monkeypatch, capsys):
    train(make_model(), tmp_path, 3)
    _, floor, best = in_the_newest(tmp_path)
    record = (tmp_path / "distance.json").read_bytes()
    capsys.readouterr()
    if change == "space":
        monkeypatch.setattr(callbacks, "feature_space", lambda *which: Elsewhere())
    train(make_model(), tmp_path, 6, held_out=HELD_OUT[: 10 if change == "number" else None])
    (line,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith("No distance")]
    assert (
        "20 real and 20 generated" in line
        and ("another space", "10 real")[change == "number"] in line
    )
    history, now, kept = in_the_newest(tmp_path)
    assert [row["epoch"] for row in history if row["distance"] is not None] == [3]
    assert now == floor and (tmp_path / "distance.json").read_bytes() == record
    for before, after in zip(best, kept, strict=True):
        np.testing.assert_array_equal(before, after)


def test_before_the_first_distance_another_space_may_be_taken(tmp_path, monkeypatch, capsys):
    with pytest.raises(Stopped):
        train(make_model(), tmp_path, 3, PressStop(STEPS, epoch_end=True))
    monkeypatch.setattr(callbacks, "feature_space", lambda *which: Elsewhere())
    train(make_model(), tmp_path, 3)
    assert "No distance" not in capsys.readouterr().out
    assert load_json(tmp_path / "distance.json")["best"]["space"]["name"] == "another space"


def test_a_training_that_goes_back_forgets_its_later_distances(whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "copy")
    (tmp_path / "copy" / "checkpoints" / f"step_{3 * STEPS:07d}.npz").unlink()
    checkpoint = helpers.Checkpoint(tmp_path / "copy", STEPS, SETTINGS)
    assert checkpoint.restore(make_model()) == 2 * STEPS
    assert not (tmp_path / "copy" / "distance.json").exists()


def test_without_held_out_images_the_last_generator_is_the_best(tmp_path, capsys):
    model = make_model()
    train(model, tmp_path, 3, held_out=HELD_OUT[:1])
    assert "No distance to real pictures is measured: too few" in capsys.readouterr().out
    assert np.isnan(helpers.load_table(tmp_path / "history.csv")["distance"]).all()
    assert not (tmp_path / "distance.json").exists()
    for best, last in zip(model.best_generator.variables, model.generator.variables):
        np.testing.assert_array_equal(best, last)


# Diagnosis.

GOOD = {"real_accuracy": 0.9, "generated_accuracy": 1.0, "pixel_std": 0.8}
GOOD |= {"generator_loss": 2.0, "gradient_norm": 5.0}
WON = GOOD | {"real_accuracy": 1.0, "gradient_norm": 0.013}
PERFECT = GOOD | {"real_accuracy": 1.0, "generator_loss": 6.4, "gradient_norm": 60.0}
COLLAPSED = GOOD | {"pixel_std": 0.001}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], ""),
        ([GOOD] * 5, ""),
        ([GOOD, WON, WON], ""),
        ([WON, WON, GOOD], ""),
        ([GOOD, WON, WON, WON], "The discriminator has won: .* (gradient 0.013, loss 2.0)"),
        ([PERFECT | {"generator_loss": 9.8}] * 3, "has won: .* (gradient 60.000, loss 9.8)"),
        ([COLLAPSED] * 3, "The generator has collapsed: .* 0.1%"),
        ([WON, WON, COLLAPSED], "has collapsed"),
        ([WON | {"pixel_std": 0.001}] * 3, "has collapsed"),
        # A perfect discriminator from which the generator still learns, as early in a training.
        ([PERFECT] * 9, ""),
        # A small gradient where the discriminator is unsure: near the end of a good training.
        ([GOOD | {"gradient_norm": 0.01}] * 9, ""),
    ],
)
def test_diagnosis(rows, words):
    found = diagnose(rows)
    assert bool(found) == bool(words)
    if words:
        parts = words.split(" .* ")
        assert all(part in found for part in parts) and "learning rate" in found
        assert "\n" not in found


class Saturating(ToyGAN):
    """A generator with nearly no gradient beside a perfect discriminator."""

    def report(self, d_loss, g_loss, real_logits, generated_logits, gradients):
        ones = tf.ones_like(real_logits)
        return super().report(d_loss, g_loss, ones, -ones, [g * 1e-4 for g in gradients])


def test_a_won_game_is_said_once_and_the_training_goes_on(tmp_path, capsys):
    train(make_model(kind=Saturating), tmp_path, 5)
    assert capsys.readouterr().out.count("The discriminator has won") == 1
    assert helpers.load_table(tmp_path / "history.csv")["epoch"].tolist() == [1, 2, 3, 4, 5]


def test_a_collapsed_generator_is_named(tmp_path, capsys):
    model = make_model()
    (kernel,) = [w for w in model.generator.trainable_variables if w.shape == (4, 16)]
    kernel.assign(tf.zeros_like(kernel))  # no latent gets through
    model.generator_optimizer.learning_rate = 0.0
    train(model, tmp_path, 3)
    out = capsys.readouterr().out
    assert "The generator has collapsed" in out and "SEED" in out


def test_full_disk_while_training_leaves_the_last_epoch(tmp_path, monkeypatch):
    """The writing of the second checkpoint fails; the first one stays, and can be gone on from."""
    train(make_model(), tmp_path, 1)
    (path,) = tmp_path.glob("checkpoints/*")
    before = path.read_bytes()

    def fail(file, **arrays):
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", fail)
        with pytest.raises(OSError, match=r"step_0000006\.npz.*No space left"):
            train(make_model(), tmp_path, 2)
    assert path.read_bytes() == before and names(tmp_path) == [path.name]


def test_checkpoint_holds_plain_arrays_and_json(whole):
    (newest, *_) = sorted((whole[0] / "checkpoints").iterdir(), reverse=True)
    with np.load(newest, allow_pickle=False) as file:
        about = json.loads(str(file["about"]))
        assert sorted(name.split("/")[0] for name in file.files if name != "about")
    assert about["settings"] == SETTINGS | {"steps per epoch": STEPS}
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

    def live_picture(grid, rows, epochs, floor):
        floors.append(floor)
        return pictures.live_picture(grid, rows, epochs, floor)

    floors = []
    monkeypatch.setattr(callbacks, "get_ipython", lambda: object())
    monkeypatch.setattr(callbacks, "display", display)
    monkeypatch.setattr(callbacks, "live_picture", live_picture)
    train(make_model(), tmp_path, 3)
    assert (len(shown), len(updates)) == (1, 3)
    sizes = {len(iio.imread(picture.data)[0]) for picture in [*shown, *updates]}
    assert floors == [load_json(tmp_path / "distance.json")["floor"]] * 4  # from the start
    assert len(sizes) == 1  # a picture of another size would make the page jump
