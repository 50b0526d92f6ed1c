"""The adversarial pair: the lesson's losses and step, the average, what a step reports."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import helpers
from helpers.refused import Refused
from tests.training.toy import (
    BATCH,
    IMAGES,
    LESSON,
    SEED,
    STEPS,
    ToyGAN,
    make_model,
    make_networks,
    train,
    values,
)

METRICS = (
    "discriminator_loss", "generator_loss", "real_accuracy", "generated_accuracy", "gradient_norm",
)  # fmt: skip
REAL, GENERATED = np.array([[2.0], [-1.0], [0.5]], "f4"), np.array([[-3.0], [-0.2], [1.0]], "f4")


def softplus(x):
    return np.log1p(np.exp(x))


def test_the_losses_are_cross_entropies():
    real, generated = softplus(-REAL).mean(), softplus(GENERATED).mean()
    assert float(LESSON.discriminator_loss(REAL, GENERATED)) == pytest.approx(real + generated)
    assert float(LESSON.generator_loss(GENERATED)) == pytest.approx(softplus(-GENERATED).mean())


def test_a_step_follows_the_gradient_of_each_networks_own_loss():
    """Both from one pass, on the step's latents: with SGD at 1 the weights move by the gradient."""
    model = make_model()
    model.compile(keras.optimizers.SGD(1.0), keras.optimizers.SGD(1.0))
    real = tf.cast(IMAGES[:BATCH], tf.float32) / 127.5 - 1
    generator, discriminator = model.generator, model.discriminator
    copies = keras.models.clone_model(generator), keras.models.clone_model(discriminator)
    for copy, network in zip(copies, (generator, discriminator)):
        copy.set_weights(network.get_weights())
    with tf.GradientTape(persistent=True) as tape:
        generated = copies[0](model.sample_latents(BATCH), training=True)
        logits = [copies[1](images, training=True) for images in (real, generated)]
        losses = LESSON.generator_loss(logits[1]), LESSON.discriminator_loss(*logits)
    logs = model.train_step(real)
    for copy, network, loss in zip(copies, (generator, discriminator), losses):
        weights = copy.trainable_variables
        for weight, now, gradient in zip(
            weights, network.trainable_variables, tape.gradient(loss, weights), strict=True
        ):
            np.testing.assert_allclose(now, weight - gradient, rtol=1e-3, atol=1e-5)
    assert float(logs["generator_loss"]) == pytest.approx(float(losses[0]), rel=1e-4)
    assert float(logs["discriminator_loss"]) == pytest.approx(float(losses[1]), rel=1e-4)
    norm = tf.linalg.global_norm(tape.gradient(losses[0], copies[0].trainable_variables))
    assert float(logs["gradient_norm"]) == pytest.approx(float(norm), rel=1e-3)


def test_training_moves_everything_but_the_random_state(tmp_path):
    """And the step is traced once: TensorFlow runs its Python then, and never again."""
    runs = []

    class Counting(ToyGAN):
        def train_step(self, real_images):
            runs.append(real_images.shape)
            return super().train_step(real_images)

    model = make_model(kind=Counting)
    before = values(model)
    train(model, tmp_path, 1)
    for name, value in values(model).items():
        constant = name.startswith("constant") or name.endswith("optimizer 1")  # the learning rate
        assert np.array_equal(before[name], value) == constant, name
    assert int(model.step) == STEPS and runs == [(BATCH, 8, 8, 1)]


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
    assert len(drawn) == 20 and model.fixed_latents.numpy().tobytes() not in drawn
    np.testing.assert_array_equal(model.fixed_latents, twin.fixed_latents)


def test_a_moved_image_is_a_window_in_a_gray_frame():
    images = np.random.default_rng(0).uniform(-1, 1, (25, 4, 6, 3)).astype(np.float32)
    starts = np.array(list(itertools.product(range(5), repeat=2)), np.int32)
    framed = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    expected = [f[y : y + 4, x : x + 6] for f, (y, x) in zip(framed, starts)]
    np.testing.assert_array_equal(LESSON.shift(images, starts, 2), expected)


def test_the_discriminator_sees_images_moved_and_noisy_anew_at_each_step():
    class Kept(LESSON.DCGAN):
        def report(self, d_loss, g_loss, *logits_and_gradients):
            self.logits = logits_and_gradients[:2]
            return super().report(d_loss, g_loss, *logits_and_gradients)

    model = make_model(kind=Kept, max_shift=2, noise=0.3)
    real_images = helpers.normalise(IMAGES[:BATCH])
    drawn = []
    for _ in range(2):
        starts = model.sample_starts(BATCH).numpy()
        generated_images = model.generator(model.sample_latents(BATCH), training=True)
        moved = (LESSON.shift(images, starts, 2) for images in (real_images, generated_images))
        expected = [
            model.discriminator(images, training=True).numpy()
            for images in model.with_noise(*moved)
        ]
        model.train_step(real_images)
        np.testing.assert_allclose(model.logits, expected, atol=1e-5)
        drawn.append(starts)
    assert not np.array_equal(*drawn) and set(np.unique(drawn)) == set(range(5))


def test_noise_follows_seed_and_step_and_has_the_deviation_asked_for():
    images = tf.zeros((200, 8, 8, 1))
    model, twin, other = (make_model(seed=seed, noise=0.3) for seed in (3, 3, 4))

    def draw(of, step):
        of.step.assign(step)
        real, generated = of.with_noise(images, images + 1)
        return real.numpy(), generated.numpy() - 1

    noise = draw(model, 0)
    for each in noise:
        assert each.shape == images.shape
        assert (each.mean(), each.std()) == pytest.approx((0, 0.3), abs=0.01)
    np.testing.assert_array_equal(noise, draw(twin, 0))
    assert not np.allclose(noise, draw(other, 0)) and not np.allclose(noise, draw(model, 1))
    latents = model.sample_latents(200).numpy()
    for one, another in (noise, (latents, draw(model, 1)[0])):
        pairs = (values.ravel()[: latents.size] for values in (one, another))
        assert abs(np.corrcoef(*pairs)[0, 1]) < 0.2
    assert not np.any(draw(make_model(), 0))


def test_report_on_crafted_logits():
    model = make_model()
    real, generated = tf.constant([[2.0], [-1.0], [0.0], [3.0]]), tf.constant([[-2.0], [0.0]])
    first = model.report(1.0, 5.0, real, generated, [tf.constant([3.0, 0.0]), tf.constant(4.0)])
    expected = [1, 5, 2 / 4, 1 / 2, 5]  # a logit of 0 is no opinion
    assert [float(first[name]) for name in METRICS] == pytest.approx(expected)
    second = model.report(2.0, 7.0, tf.ones((4, 1)), tf.ones((2, 1)), [tf.constant(1.0)])
    assert [float(second[name]) for name in METRICS] == pytest.approx([1.5, 6, 6 / 8, 1 / 4, 3])
    assert int(model.step) == 2


def test_an_average_follows_the_generator():
    """First quickly, then slowly."""
    model = make_model(ema_decay=0.5)
    weight, average = (
        network.trainable_variables[0] for network in (model.generator, model.ema_generator)
    )
    expected = weight.numpy().astype(np.float64)
    for step in range(8):
        model.train_step(tf.zeros((BATCH, 8, 8, 1)))
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weight.numpy()
        np.testing.assert_allclose(average, expected, rtol=1e-4, atol=1e-6)
    assert not np.allclose(average, weight)


def test_after_an_epoch_the_average_has_statistics_of_its_own(tmp_path):
    """Those of the images that it draws then; its weights alone decide them."""
    model = make_model(ema_decay=0.5)
    model.statistics_batches = 32
    train(model, tmp_path, 1)
    weights, bias, *_ = (w.numpy() for w in model.ema_generator.trainable_variables)
    latents = np.random.default_rng(0).standard_normal((10_000, 4))
    inputs = latents @ weights + bias
    mean, variance = model.ema_generator.non_trainable_variables[:2]
    np.testing.assert_allclose(mean, inputs.mean(0), atol=0.1 * inputs.std())
    np.testing.assert_allclose(variance, inputs.var(0), rtol=0.15)
    (norm,) = [layer for layer in model.ema_generator.layers if hasattr(layer, "momentum")]
    assert norm.momentum == 0.8


def test_the_average_draws_and_without_one_the_generator():
    model, plain = make_model(), make_model(ema_decay=0.0)
    model.ema_generator.trainable_variables[0].assign_add(np.ones((4, 16)))
    latents = tf.convert_to_tensor(model.fixed_latents)
    before = values(model)
    np.testing.assert_array_equal(model.preview(), model.ema_generator(latents, training=False))
    assert not np.allclose(model.preview(), model.generator(latents, training=False))
    assert all(np.array_equal(value, before[name]) for name, value in values(model).items())
    assert plain.ema_generator is plain.generator and plain.preview().shape == (5, 8, 8, 1)


def test_the_step_can_be_compiled_by_xla(tmp_path):
    """As Keras does on a GPU."""
    model = make_model(jit_compile=True, ema_decay=0.0, max_shift=2, noise=0.1)
    train(model, tmp_path, 1)
    assert model.jit_compile is True and int(model.step) == STEPS
    assert all(np.isfinite(value).all() for value in values(model).values())


def test_several_steps_per_execution_change_no_bit(tmp_path):
    single, several = make_model(), make_model(steps_per_execution=STEPS)
    train(single, tmp_path / "single", 2)
    train(several, tmp_path / "several", 2)
    for name, value in values(single).items():
        np.testing.assert_array_equal(values(several)[name], value, err_msg=name)


@pytest.mark.parametrize(
    ("action", "sentence"),
    [
        (lambda: make_model(networks=(make_networks()[0], wide_discriminator())),
         "The generator makes images of shape (8, 8, 1), the discriminator takes (10, 10, 1); "
         "build both for one shape."),
        (lambda: make_model(ema_decay=1.0), "ema_decay is 1.0; it lies from 0 to below 1."),
        (lambda: make_model(max_shift=8),
         "max_shift is 8; it is a whole number of pixels from 0 to below 8."),
        (lambda: make_model(noise=-0.1), "noise is -0.1; it is a standard deviation, at least 0."),
        (lambda: make_model().compile(*[keras.optimizers.Adam()] * 2),
         "Each network needs an optimizer of its own: pass two, not one twice."),
        (lambda: make_model().save("gan.keras"),
         "A pair of networks is not saved as one model: save model.generator or "
         "model.ema_generator. The whole training is in the run's checkpoints after each epoch, "
         "and Keras's ModelCheckpoint works with save_weights_only=True."),
    ],
)  # fmt: skip
def test_what_makes_no_pair(action, sentence):
    with pytest.raises(ValueError) as caught:
        action()
    assert str(caught.value) == sentence


def wide_discriminator():
    layers = [keras.Input((10, 10, 1)), keras.layers.Flatten(), keras.layers.Dense(1)]
    return keras.Sequential(layers)


def test_no_epochs_are_refused(tmp_path):
    with pytest.raises(Refused, match="EPOCHS is -1; it is a number of epochs, at least 1"):
        train(make_model(seed=SEED), tmp_path, -1)
