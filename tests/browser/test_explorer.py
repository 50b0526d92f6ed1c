"""The explorer as a visitor sees it: from a disk, without a network, in a real Chromium.

Set DCGAN_SCREENSHOTS to a folder to keep its pictures, narrow and wide, light and dark.
"""

import base64
import importlib.util
import json
import os
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

import helpers
from helpers.machine import ASSETS, ROOT
from helpers.refused import Refused

SPEC = importlib.util.spec_from_file_location("convert", ROOT / "site" / "explorer" / "convert.py")
convert = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(convert)

MOST_BYTES = 4e6  # until the first picture
APART = 2  # of 255, on any pixel
PATIENCE = 30_000  # milliseconds
FIRST = "fashion_mnist-28-generator_trained"
TO_ORDER = "fashion_mnist-28-conditional_generator"
SHIPPED = [name.replace("/", "-") for name in convert.SHIPPED]


def own_network():
    """A generator with what lesson 3 does not have, but a learner may try."""
    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(4 * 4 * 8, activation="relu"),
            layers.Reshape((4, 4, 8)),
            layers.Conv2DTranspose(6, 5, strides=2, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.LeakyReLU(negative_slope=0.3),
            layers.UpSampling2D(2, interpolation="bilinear"),
            layers.Conv2D(4, 3, padding="same", activation="leaky_relu"),
            layers.Dropout(0.5),
            layers.Conv2DTranspose(4, 3, strides=3, padding="same"),
            layers.UpSampling2D(2),
            layers.Conv2DTranspose(3, 2, padding="same", activation="tanh"),
        ]
    )
    rng = np.random.default_rng(0)  # no vector is all 0 or 1, as after a training
    network.set_weights(
        [w * 2 if w.ndim > 1 else rng.uniform(0.1, 0.4, w.shape) for w in network.get_weights()]
    )
    return network


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The page, with a learner's generator beside the shipped ones."""
    folder = tmp_path_factory.mktemp("explorer")
    own = folder / "runs" / "mine" / "generator_trained.keras"
    helpers.save_model(own_network(), own)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convert, "TARGET", folder)
        convert.main([own])
    return folder


def opened(browser, folder, query="", **options):
    page = browser.new_context(offline=True, **options).new_page()
    page.problems = []
    page.on("console", lambda message: page.problems.append(message.text))
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.goto(f"{(folder / 'index.html').as_uri()}{query}")
    page.wait_for_function("explorer.drawn > 0", timeout=PATIENCE)
    return page


@pytest.fixture(scope="module")
def page(browser, folder):
    page = opened(browser, folder)
    yield page
    page.context.close()


def pictures(page):
    """Every canvas, as text; the drawing that is under way is awaited."""
    page.wait_for_function("!busy", timeout=PATIENCE)
    return page.locator("canvas").evaluate_all("all => all.map(canvas => canvas.toDataURL())")


def choose(page, name):
    page.select_option("#generator", name)
    title = json.dumps(page.locator("#generator option:checked").inner_text())
    page.wait_for_function(f"explorer.generator.title === {title} && !busy", timeout=PATIENCE)


@pytest.mark.parametrize("backend", ["wasm", "cpu"])
@pytest.mark.parametrize("name", [*SHIPPED, "mine-generator_trained"])
def test_pictures_are_those_of_keras(name, backend, page, folder):
    path = ASSETS / "trained" / Path(*name.rsplit("-", 1)).with_suffix(".keras")
    own = name.startswith("mine")
    network = helpers.load_model(folder / "runs/mine/generator_trained.keras" if own else path)
    number = 64 if backend == "wasm" else 4
    rng = np.random.default_rng(0)
    latents = rng.standard_normal((number, network.inputs[0].shape[-1]), np.float32)
    labels = np.arange(number, dtype=np.int32) % 10
    orders = np.eye(10)[labels]  # as the page gives them
    given = [latents, labels] if len(network.inputs) == 2 else latents
    expected = np.clip(np.rint((network.predict(given, verbose=0) + 1) * 127.5), 0, 255)
    drawn = page.evaluate(
        """async ([name, latents, orders, backend]) => {
            await tf.setBackend(backend);
            const generator = await fetchGenerator(name);
            const images = await engine.draw(generator, Float32Array.from(latents), orders);
            await tf.setBackend("wasm");
            return images.map((image) => btoa(String.fromCharCode(...image)));
        }""",
        [name, latents.ravel().tolist(), orders.ravel().tolist(), backend],
    )
    drawn = np.frombuffer(b"".join(map(base64.b64decode, drawn)), np.uint8)
    assert expected.std() > 5
    assert np.abs(drawn.reshape(expected.shape) - expected).max() <= APART


def test_the_first_picture_needs_few_bytes(folder):
    named = ("index.html", "explorer.css", "explorer.js", "engine.js", "generators.js", "tf.js")
    sizes = [(folder / name).stat().st_size for name in (*named, f"{FIRST}.js")]
    assert sum(sizes) <= MOST_BYTES


def test_a_slider_moves_every_picture_and_comes_back(page):
    choose(page, FIRST)
    before = pictures(page)
    slider = page.get_by_label("Direction 1")
    slider.fill("3")
    after = pictures(page)
    assert [n for n, (a, b) in enumerate(zip(before, after)) if a == b] == [1]  # the kept one
    page.get_by_role("button", name="Reset sliders").click()
    assert pictures(page) == before


def test_the_keyboard_moves_sliders_and_chooses_on_the_wall(page):
    choose(page, FIRST)
    before = pictures(page)
    page.get_by_label("Direction 2").focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    after = pictures(page)
    assert after[0] != before[0] and after[5] != before[5]
    page.get_by_label("Picture 1 of 16").focus()
    for key, canvas in (("ArrowRight", 3), ("ArrowDown", 7), ("ArrowUp", 3), ("ArrowUp", 15)):
        page.keyboard.press(key)
        drawn = pictures(page)
        assert drawn[0] == drawn[canvas] != after[0]  # canvas 2 is the first of the wall


def test_variety_0_draws_one_picture_of_a_kind_and_is_not_there_without_kinds(page):
    choose(page, TO_ORDER)
    page.get_by_label("Variety").fill("0")
    assert len(set(pictures(page)[2:])) == 10
    page.get_by_text("Trouser", exact=True).click()
    assert len(set(pictures(page)[2:])) == 1
    choose(page, FIRST)
    assert page.get_by_label("Variety").get_attribute("min") == "0.6"


@pytest.mark.parametrize("name", [FIRST, TO_ORDER])
def test_what_is_kept_stays_and_another_picture_turns_into_it(name, page):
    """Also its class, and what the sliders made of it; choosing from the wall ends the mixing."""
    choose(page, name)
    mix = page.get_by_role("slider", name="Mix")
    page.get_by_label("Direction 1").fill("2")
    mix.fill("0.4")
    seen = pictures(page)[0]
    page.get_by_role("button", name="Keep for mixing").click()
    page.get_by_role("button", name="Reset sliders").click()
    page.get_by_label("Picture 2 of 16").check(force=True)
    drawn = pictures(page)
    assert drawn[1] == seen and drawn[0] == drawn[3] != seen
    mix.fill("1")
    assert pictures(page)[0] == seen
    page.get_by_label("Picture 3 of 16").check(force=True)
    drawn = pictures(page)
    assert drawn[0] == drawn[4] and mix.input_value() == "0"


def test_only_pictures_that_change_are_drawn(page):
    choose(page, FIRST)
    page.evaluate(
        """() => {
            const { draw } = engine;
            explorer.asked = [];
            engine.draw = (generator, latents, orders) => {
                explorer.asked.push(latents.length / generator.latents);
                return draw(generator, latents, orders);
            };
        }"""
    )
    for slider, value in (("Direction 1", "1"), ("Mix", "0.5"), ("Variety", "0.6")):
        page.get_by_role("slider", name=slider).fill(value)
        pictures(page)
    page.get_by_label("Picture 3 of 16").check(force=True)
    pictures(page)
    # The wall; the mixture; both; nothing, for what is chosen hangs already.
    assert page.evaluate("explorer.asked") == [16, 1, 17]


def test_surprise(page):
    choose(page, FIRST)
    before = pictures(page)
    page.get_by_role("button", name="Surprise me").click()
    assert not set(before) & set(pictures(page))


def test_a_class_button_orders_and_is_read_aloud(page):
    choose(page, TO_ORDER)
    before = pictures(page)
    page.get_by_text("Trouser", exact=True).click()
    after = pictures(page)
    assert after[2] != before[2] and after[3] == before[3]  # the wall's second showed trousers
    label = page.locator("#picture").get_attribute("aria-label")
    assert label == "Generated picture: Garments by kind, Trouser"


def test_without_webassembly_plain_javascript_draws(browser, folder):
    page = opened(browser, folder, "?backend=cpu")
    page.wait_for_function("document.body.innerText.includes('plain JavaScript')", timeout=PATIENCE)
    assert not page.problems
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_it_fits_narrow_and_wide(width, scheme, browser, folder, tmp_path):
    size = {"width": width, "height": 900}
    page = opened(browser, folder, viewport=size, color_scheme=scheme, has_touch=width == 390)
    choose(page, TO_ORDER)
    keep = Path(os.environ.get("DCGAN_SCREENSHOTS") or tmp_path)
    page.screenshot(path=keep / f"explorer-{width}-{scheme}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    if width == 390:
        page.locator("#wall label").nth(6).tap()
        drawn = pictures(page)
        assert drawn[0] == drawn[8]
    assert not page.problems
    page.context.close()


def test_no_error_was_written(page):
    assert not page.problems


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (layers.PReLU(), "PReLU"),
        (layers.Conv2DTranspose(3, 4, strides=2, padding="valid"), "Conv2DTranspose"),
        (layers.Dense(3, activation="softplus"), "Dense"),
    ],
)
def test_what_the_page_cannot_draw_is_refused(layer, says):
    network = keras.Sequential([keras.Input((8,)), layers.Reshape((2, 2, 2)), layer])
    with pytest.raises(Refused, match=f"cannot draw with .*{says}"):
        convert.convert(network, "mine")


def test_layers_that_are_no_chain_are_refused():
    """One layer that is called twice."""
    inputs, twice = keras.Input((8,)), layers.Dense(8)
    network = keras.Model(inputs, layers.Reshape((2, 2, 2))(twice(twice(inputs))))
    with pytest.raises(Refused, match="no chain"):
        convert.convert(network, "mine")
