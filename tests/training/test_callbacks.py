"""What is seen and measured after each epoch: previews, distances, one picture, warnings."""

from base64 import b64decode
from types import SimpleNamespace

import imageio.v3 as iio
import keras
import numpy as np
import pytest
import tensorflow as tf
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

import helpers
from helpers.evaluation.features import random_features
from helpers.files import load_json
from helpers.refused import Refused
from helpers.run import newest_record
from helpers.training.callbacks import SaveToDrive
from helpers.training.previews import Previews
from tests.training.toy import (
    BATCH,
    COUNT,
    HELD_OUT,
    IMAGES,
    SEED,
    STEPS,
    ToyGAN,
    files,
    make_model,
    make_networks,
    train,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Four epochs: the third is measured because it is its turn, the fourth for it is the last."""
    folder = tmp_path_factory.mktemp("whole")
    model = make_model()
    train(model, folder, 4)
    return folder, model


def test_previews_of_steps_and_epochs(whole):
    folder, model = whole
    labels, frames = helpers.load_previews(folder, STEPS, 4, best=3)
    assert labels == ["step 0", "epoch 1", "epoch 2", "epoch 3", "epoch 4", "best: epoch 3"]
    assert frames.dtype == np.uint8 and frames.shape == (6, 5, 8, 8, 1)
    untrained = make_model()
    untrained.estimate_statistics()
    np.testing.assert_array_equal(frames[0], helpers.to_uint8(untrained.preview()))
    np.testing.assert_array_equal(frames[4], helpers.to_uint8(model.preview()))
    np.testing.assert_array_equal(frames[5], frames[3])
    assert len({frame.tobytes() for frame in frames[:5]}) == 5
    real = (IMAGES / 127.5 - 1).std(axis=0).mean()
    expected = (frames[4] / 127.5 - 1).std(axis=0).mean() / real
    assert helpers.load_table(folder / "history.csv")["pixel_std"][3] == pytest.approx(expected)


@pytest.mark.parametrize("execution", [1, 15])
def test_previews_of_the_first_epoch_lie_ever_farther_apart(execution, tmp_path):
    """Noise becomes pictures in it; later, epochs are left out."""
    model = make_model(steps_per_execution=execution)
    run, images = SimpleNamespace(folder=tmp_path), SimpleNamespace(train_images=IMAGES)
    previews = Previews(run, images)
    batches = helpers.training_batches(IMAGES, BATCH, SEED)
    model.fit(batches, epochs=12, steps_per_epoch=45, callbacks=[previews])
    labels, _ = helpers.load_previews(tmp_path, 45, 12)
    early = [0, 10, 20, 40] if execution == 1 else [0, 15, 30]
    epochs = [1, 2, 3, 4, 5, 6, 8, 10, 12]
    assert labels == [f"step {step}" for step in early] + [f"epoch {epoch}" for epoch in epochs]


def test_a_missing_and_a_damaged_preview(tmp_path):
    folder = tmp_path / "previews"
    folder.mkdir()
    for step in (0, 6):
        np.save(folder / f"step_{step:07d}.npy", IMAGES)
    for _ in range(2):
        with pytest.raises(ValueError) as caught:
            helpers.load_previews(tmp_path, 3, 2)
        assert str(caught.value) == (
            "step_0000003.npy is missing or damaged, so the GIF would have a gap; train this run "
            "again with RESUME = False, or choose another RUN_NAME."
        )
        (folder / "step_0000003.npy").write_bytes(b"nothing")


def test_without_an_epoch_there_is_nothing_to_show(tmp_path):
    with pytest.raises(Refused, match=r"^No epoch is finished yet; run the training cell until"):
        helpers.load_previews(tmp_path, 3, 0)


def test_the_distance_is_that_of_fixed_latents_to_held_out_images(whole):
    folder, model = whole
    record = newest_record(folder)
    history, floor = record["history"], record["floor"]
    real = random_features(HELD_OUT)
    latents = tf.random.stateless_normal((len(HELD_OUT), 4), seed=(SEED, -2))
    drawn = random_features(model.ema_generator(latents, training=False).numpy())
    expected = helpers.frechet_distance(drawn, real)
    found = [row["distance"] for row in history]
    assert found[:2] == [None, None] and found[2] > 0
    assert found[3] == pytest.approx(expected, rel=1e-3)
    # The floor: as many training images, of the whole set, and all that it depends on.
    evenly = random_features(IMAGES[np.linspace(0, COUNT - 1, len(HELD_OUT)).astype(int)])
    assert floor["value"] == pytest.approx(helpers.frechet_distance(evenly, real))
    assert floor["real"] == floor["generated"] == len(HELD_OUT) and floor["seed"] == SEED
    assert floor["space"]["name"].startswith("random convolutions")
    best = 3 + int(found[3] < found[2])
    best_record = floor | {"value": found[best - 1], "epoch": best}
    assert load_json(folder / "distance.json") == {"floor": floor, "best": best_record}


def test_distances_of_two_kinds_never_share_a_curve(tmp_path, capsys):
    train(make_model(), tmp_path, 3)
    before = (tmp_path / "distance.json").read_bytes()
    capsys.readouterr()
    train(make_model(), tmp_path, 6, held_out=HELD_OUT[:10])
    (line,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith("No distance")]
    assert "20 real and 20 generated" in line and "10 real and 10 generated" in line
    history = newest_record(tmp_path)["history"]
    assert [row["epoch"] for row in history if row["distance"] is not None] == [3]
    assert (tmp_path / "distance.json").read_bytes() == before


def test_without_held_out_images_the_last_generator_is_the_best(tmp_path, capsys):
    model = make_model()
    train(model, tmp_path, 3, held_out=HELD_OUT[:1])
    assert "No distance to real pictures is measured: too few" in capsys.readouterr().out
    assert np.isnan(helpers.load_table(tmp_path / "history.csv")["distance"]).all()
    assert not (tmp_path / "distance.json").exists()
    for best, last in zip(model.best_generator.variables, model.ema_generator.variables):
        np.testing.assert_array_equal(best, last)


def test_a_generator_that_makes_no_images_is_told_so(tmp_path):
    class Odd(ToyGAN):
        def preview(self):
            pictures = super().preview()
            return 3 * tf.sign(pictures) if int(self.step) else pictures

    with pytest.raises(Refused, match="pixels lie between -3 and 3; .* tanh"):
        train(make_model(kind=Odd), tmp_path, 2)
    assert files(tmp_path) == ["epoch_0000.zip"]


@pytest.mark.parametrize(
    ("last", "times"),
    [("sigmoid", 1), ("tanh", 0)],
)
def test_a_generator_that_ends_in_a_sigmoid_is_named_after_an_epoch(last, times, tmp_path, capsys):
    networks = make_networks(last=(keras.layers.Activation, last))
    train(make_model(networks=networks), tmp_path, 2)
    assert capsys.readouterr().out.count("no pixel darker than middle gray") == times


def test_a_discriminator_that_ends_in_a_sigmoid_is_named_after_an_epoch(tmp_path, capsys):
    generator, discriminator = make_networks()
    discriminator.add(keras.layers.Activation("sigmoid"))
    train(make_model(networks=(generator, discriminator)), tmp_path, 2)
    out = capsys.readouterr().out
    assert out.count("All answers of the discriminator lie between 0 and 1") == 1
    assert "End it with Dense(1) alone" in out and "pixel" not in out


def test_a_notebook_shows_one_picture_and_one_bar(tmp_path):
    """However long it trains, and of one size, so that the page does not jump."""
    InteractiveShell.instance()
    try:
        with capture_output() as shown:
            train(make_model(), tmp_path, 3)
    finally:
        InteractiveShell.clear_instance()
    (first, *updates) = shown.outputs
    assert not first.update and len(updates) == 3 and all(each.update for each in updates)
    assert len({each.transient["display_id"] for each in shown.outputs}) == 1
    sizes = {iio.imread(b64decode(each.data["image/png"])).shape for each in shown.outputs}
    assert len(sizes) == 1 and next(iter(sizes))[0] >= 480
    assert "9/9" in shown.stdout and "/3" not in shown.stdout and shown.stdout.count("\n") < 9


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
    model.ema_generator.trainable_variables[0].assign(tf.zeros((4, 16)))  # no latent gets through
    model.generator.trainable_variables[0].assign(tf.zeros((4, 16)))
    model.generator_optimizer.learning_rate = 0.0
    train(model, tmp_path, 3)
    out = capsys.readouterr().out
    assert "The generator has collapsed" in out and "SEED" in out


def test_drive_gets_a_copy_now_and_then(tmp_path, capsys):
    run = SimpleNamespace(name="toy", folder=tmp_path / "run", drive=tmp_path / "drive")
    run.folder.mkdir(), run.drive.mkdir()
    (run.folder / "history.csv").write_text("epoch\n1\n")
    callback = SaveToDrive(run)
    callback.on_train_begin()
    callback.on_epoch_end(0)
    assert not list(run.drive.iterdir())
    callback.saved -= callback.SECONDS
    callback.on_epoch_end(1)
    callback.on_epoch_end(2)
    assert [path.name for path in run.drive.iterdir()] == ["toy.0001.zip"]
    assert capsys.readouterr().out.startswith("Saved to Drive: toy.0001.zip")
