"""Lessons 1, 4 and play as a learner sees them: run in a JupyterLab, looked at in a Chromium.

Set DCGAN_SCREENSHOTS to a folder to keep the pictures of both lessons in both themes.
"""

import base64
import functools
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import imageio.v3 as iio
import nbformat
import numpy as np
import plotly
import pytest
from nbconvert import HTMLExporter

from helpers.machine import ROOT
from helpers.plots import image_grid

PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
GIFS = {"01_introduction": 4, "04_training": 1}
THEMES = ("JupyterLab Light", "JupyterLab Dark")
SETTINGS = {
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},  # every cell in the page
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
START = 60  # seconds until JupyterLab answers, and until a page of it stands
RUN = 600  # seconds until a lesson has run
LOOPS = 30  # seconds for a GIF to start over; the longest lasts 6
CONTRAST = 4.5  # WCAG 2.2, success criterion 1.4.3

every_lesson = pytest.mark.parametrize("lesson", GIFS, indirect=True)


# JupyterLab and Chromium


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A copy of the course without outputs: all that is seen here was made here."""
    folder = tmp_path_factory.mktemp("course")
    for name in ("notebooks", "helpers", "assets"):
        shutil.copytree(ROOT / name, folder / name)
    for path in (folder / "notebooks").rglob("*.ipynb"):
        notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.update(outputs=[], execution_count=None)
        nbformat.write(notebook, path)
    return folder


@pytest.fixture(scope="module")
def server(course, tmp_path_factory):
    """The address of a JupyterLab that knows no setting of this user; its log goes to pytest."""
    home = tmp_path_factory.mktemp("jupyter")
    for plugin, values in SETTINGS.items():
        path = home / "settings" / f"{plugin}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values), encoding="utf-8")
    environment = os.environ | {
        "DCGAN_PROFILE": "tiny",
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
    }
    environment.pop("DCGAN_RUNS", None)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
            *("--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"),
            *("--IdentityProvider.token=", f"--ServerApp.root_dir={course}"),
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
            "--LabApp.extension_manager=readonly",
        ],
        cwd=course,
        env=environment,
        start_new_session=True,
    )
    try:
        wait_for(lambda: answers(f"{address}/api/status", process), START)
        yield address
    finally:
        process.terminate()  # JupyterLab ends its kernels, which are in sessions of their own
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()


def answers(address, process):
    assert process.poll() is None, "JupyterLab ended by itself; its log is below."
    try:
        return urllib.request.urlopen(address, timeout=5).status == 200
    except (urllib.error.URLError, OSError):
        return False


def wait_for(condition, seconds, interval=0.2):
    """What `condition` returns, as soon as that is true."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"Waited {seconds} seconds in vain."
        time.sleep(interval)
    return result


# A lesson, run


WATCH = """() => {
    // What each code cell shows while it runs: its pictures, and how many there are at a time.
    window.seen = [...document.querySelectorAll('.jp-CodeCell')].map(cell => {
        const seen = {pictures: [], most: 0};
        new MutationObserver(() => {
            const pictures = [...cell.querySelectorAll('.jp-OutputArea img')].map(img => img.src);
            seen.most = Math.max(seen.most, pictures.length);
            seen.pictures.push(...pictures.filter(src => !seen.pictures.includes(src)));
        }).observe(cell, {childList: true, subtree: true, attributes: true});
        return seen;
    });
}"""
FINISHED = """() => {
    const prompts = [...document.querySelectorAll('.jp-CodeCell .jp-InputArea-prompt')];
    return document.querySelector('#jp-main-statusbar').textContent.includes('| Idle')
        && prompts.some(prompt => /[0-9]/.test(prompt.textContent))
        && !prompts.some(prompt => prompt.textContent.includes('*'));
}"""


@pytest.fixture(scope="module")
def run_lesson(server, course, browser):
    """A lesson's page after Run > Run All Cells, and what its cells showed meanwhile."""

    @functools.cache
    def run(name):
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(1000 * START)
        page.route("https://cdn.plot.ly/**", lambda route: route.fulfill(path=PLOTLY))
        page.goto(f"{server}/lab/workspaces/{Path(name).name}/tree/notebooks/{name}.ipynb")
        page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for()  # there is a kernel
        notebook = nbformat.read(course / "notebooks" / f"{name}.ipynb", nbformat.NO_CONVERT)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        sources = [cell.source for cell in code]
        numbers = [
            number
            for number, cell in enumerate(code, 1)
            if not cell.metadata.get("jupyter", {}).get("source_hidden")  # it shows no number
        ]
        cells = page.locator(".jp-CodeCell")
        wait_for(lambda: cells.count() == len(sources), START)
        page.evaluate(WATCH)
        choose(page, "Run", "Run All Cells")
        page.wait_for_function(FINISHED, timeout=1000 * RUN, polling=500)
        seen = [SimpleNamespace(**cell) for cell in page.evaluate("window.seen")]
        return SimpleNamespace(
            name=name, page=page, sources=sources, numbers=numbers, cells=cells, seen=seen
        )

    return run


@pytest.fixture
def lesson(request, run_lesson):
    """A lesson, run once for all tests."""
    return run_lesson(request.param)


def choose(page, *path):
    """Click through the main menu."""
    menu, *items = path
    page.locator(".lm-MenuBar-itemLabel").get_by_text(menu, exact=True).click()
    for item in items:
        page.locator(".lm-Menu-itemLabel").get_by_text(item, exact=True).click()


def set_theme(page, theme):
    choose(page, "Settings", "Theme", theme)
    page.wait_for_function("theme => document.body.dataset.jpThemeName === theme", arg=theme)
    page.locator("#jupyterlab-splash").wait_for(state="detached")


@every_lesson
def test_every_cell_runs_without_an_error(lesson):
    for kind in ("error", "stderr"):
        outputs = lesson.page.locator(f"[data-mime-type='application/vnd.jupyter.{kind}']")
        assert outputs.all_inner_texts() == []
    prompts = lesson.cells.locator(".jp-InputArea-prompt").all_inner_texts()
    assert prompts == [f"[{number}]:" for number in lesson.numbers]


# Pictures that move, and pictures that are replaced


def screenshot(element):
    return iio.imread(element.screenshot(), extension=".png")


GIF = base64.b64encode(b"GIF89a").decode()  # how the bytes of each begin


def content(source):
    """The bytes of a picture that is in the page itself, from its `src`."""
    return base64.b64decode(source.partition(";base64,")[2])


@every_lesson
def test_the_gifs_move_and_start_over(lesson):
    """A picture that comes back after another was there shows both."""
    gifs = lesson.page.locator(f".jp-OutputArea img[src^='data:image/png;base64,{GIF}']")
    assert gifs.count() == GIFS[lesson.name]
    for gif in gifs.all():
        gif.scroll_into_view_if_needed()
        assert iio.immeta(content(gif.get_attribute("src"))).get("loop") == 0, "it stops"
        assert gif.evaluate("img => img.complete && img.naturalWidth > 0 && img.naturalHeight > 0")
        frames = []  # as they follow each other

        def started_over(gif=gif, frames=frames):
            frame = screenshot(gif)
            if not frames or not np.array_equal(frame, frames[-1]):
                frames.append(frame)
            return any(np.array_equal(frame, before) for before in frames[:-2])

        wait_for(started_over, LOOPS, interval=0.05)
        for frame in frames:
            assert len(np.unique(frame)) > 8, "a frame of blank squares"


@pytest.mark.parametrize("name", GIFS)
def test_an_exported_page_shows_the_gifs_too(name, browser, tmp_path):
    """nbconvert, and so perhaps other viewers, drops outputs of the type image/gif."""
    body, _ = HTMLExporter().from_filename(str(ROOT / "notebooks" / f"{name}.ipynb"))
    (tmp_path / "lesson.html").write_text(body, encoding="utf-8")
    page = browser.new_page()
    page.goto((tmp_path / "lesson.html").as_uri(), wait_until="domcontentloaded")
    gifs = page.locator(f"img[src^='data:image/png;base64,{GIF}']")
    assert gifs.count() == GIFS[name]
    for gif in gifs.all():
        assert gif.evaluate("img => img.decode().then(() => img.naturalWidth)") > 0
    assert "display.Image object" not in body
    page.close()


def cell_with(code, lesson):
    """The index, among the code cells, of the only one that holds `code`."""
    (index,) = [index for index, source in enumerate(lesson.sources) if code in source]
    return index


@pytest.mark.parametrize(
    ("lesson", "code", "pictures"),
    [
        ("01_introduction", "healthy = train_and_film()", 22),  # 21 looks and the GIF of them
        ("04_training", "model.fit(", 4),  # untrained, after 10 steps, and after each of two epochs
    ],
    indirect=["lesson"],
)
def test_each_picture_of_a_training_replaces_the_one_before(lesson, code, pictures):
    index = cell_with(code, lesson)
    assert lesson.cells.nth(index).locator(".jp-OutputArea img").count() == 1
    assert lesson.seen[index].most == 1
    assert 2 <= len(lesson.seen[index].pictures) <= pictures


def test_the_previews_are_those_of_the_run(run_lesson, course):
    lesson = run_lesson("04_training")
    pictures = lesson.seen[cell_with("model.fit(", lesson)].pictures
    run = course / "runs" / "fashion_mnist-28-tiny"
    for picture, step in ((pictures[0], 0), (pictures[-1], 32)):
        pixels = iio.imread(content(picture), extension=".png")
        preview = np.load(run / "previews" / f"step_{step:07d}.npy")
        grid = np.repeat(image_grid(preview, scale=2)[..., None], 3, axis=2)
        np.testing.assert_array_equal(pixels[:, : grid.shape[1]], grid)  # beside it, curves


def test_links_download_the_files_of_the_run(run_lesson, course):
    page = run_lesson("04_training").page
    run = course / "runs" / "fashion_mnist-28-tiny"
    for name in ("training.gif", "generator_trained.keras"):
        with page.expect_download() as waiting:
            page.get_by_role("link", name=f"{run.name}/{name}").click()
        assert waiting.value.suggested_filename == name
        assert Path(waiting.value.path()).read_bytes() == (run / name).read_bytes()


# What follows the mouse


def test_sliders_and_button_change_the_picture(run_lesson):
    page = run_lesson("further/play").page
    picture = page.locator("img.jupyter-widgets")

    def after(action):
        before = picture.get_attribute("src")
        action()
        wait_for(lambda: picture.get_attribute("src") != before, START)

    for number in (0, 5, 6):  # a direction, variety and mix
        handle = page.locator(".noUi-handle").nth(number)
        after(lambda handle=handle: handle.press("ArrowRight"))
    after(page.get_by_role("button", name="Surprise me").click)


def test_the_time_machine_moves_and_the_map_shows_pictures(run_lesson):
    machine, chart = run_lesson("further/play").page.locator("div[id^='figure-']").all()
    for figure in (chart, machine):  # drawn when they come into sight
        figure.scroll_into_view_if_needed()
        figure.locator(".main-svg").first.wait_for()

    def shown():
        return machine.locator("image").evaluate("image => image.href.baseVal")

    before, rail = shown(), machine.locator(".slider-rail-touch-rect").bounding_box()
    machine.page.mouse.click(rail["x"] + rail["width"] / 2, rail["y"] + rail["height"] / 2)
    wait_for(lambda: shown() != before, START)
    chart.scroll_into_view_if_needed()
    picture = chart.locator("div[style*='background-image']")
    assert not picture.is_visible()
    chart.locator(".points path").first.hover(force=True)
    wait_for(picture.is_visible, START)


# Both themes


TEXTS = """selector => {
    // Each visible text with its colour, and the colours of the boxes behind it, nearest first.
    const context = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
    const rgba = colour => {
        context.clearRect(0, 0, 1, 1);
        context.fillStyle = colour;
        context.fillRect(0, 0, 1, 1);
        return [...context.getImageData(0, 0, 1, 1).data];
    };
    const texts = [];
    for (const root of document.querySelectorAll(selector)) {
        const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
        while (walker.nextNode()) {
            const box = walker.currentNode.parentElement, text = walker.currentNode.data.trim();
            if (!/[\\p{L}\\p{N}]/u.test(text) || !box.checkVisibility()) continue;
            const behind = [];
            for (let back = box; back; back = back.parentElement)
                behind.push(rgba(getComputedStyle(back).backgroundColor));
            texts.push({text, colour: rgba(getComputedStyle(box).color), behind});
        }
    }
    return texts;
}"""
CORNERS = """img => {
    const canvas = new OffscreenCanvas(img.naturalWidth, img.naturalHeight);
    const context = canvas.getContext('2d');
    context.drawImage(img, 0, 0);
    const [right, bottom] = [canvas.width - 1, canvas.height - 1];
    return [[0, 0], [right, 0], [0, bottom], [right, bottom]].map(
        ([x, y]) => [...context.getImageData(x, y, 1, 1).data]);
}"""


EXTENT = """panel => {
    // The height of all cells, and how much of it is seen at a time.
    const last = [...panel.querySelectorAll('.jp-Cell')].at(-1).getBoundingClientRect();
    const height = last.bottom - panel.getBoundingClientRect().top + panel.scrollTop;
    return [Math.ceil(height), panel.clientHeight];
}"""


def over(colour, ground):
    """The colour, RGBA from 0 to 255, painted on an opaque one."""
    alpha = colour[3] / 255
    return [alpha * c + (1 - alpha) * g for c, g in zip(colour[:3], ground)]


def luminance(colour):
    """Relative luminance of an RGB colour; WCAG 2.2, relative luminance."""
    shares = [channel / 255 for channel in colour]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(text):
    """Contrast ratio of a text with what is behind it, from 1 to 21; WCAG 2.2, contrast ratio."""
    ground = [255, 255, 255]
    for box in reversed(text["behind"]):
        ground = over(box, ground)
    dark, light = sorted((luminance(over(text["colour"], ground)), luminance(ground)))
    return (light + 0.05) / (dark + 0.05)


def photograph(lesson, theme, folder):
    """Save the lesson from top to bottom, a screen at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    scroller = lesson.page.locator(".jp-NotebookPanel .jp-WindowedPanel-outer")
    height, screen = scroller.evaluate(EXTENT)
    for number, top in enumerate(range(0, height, screen)):
        scroller.evaluate("(e, top) => e.scrollTo(0, top)", top)
        name = f"{lesson.name}-{theme.split()[-1].lower()}-{number:02d}.png"
        lesson.page.screenshot(path=folder / name)


@pytest.mark.parametrize("theme", THEMES)
@every_lesson
def test_text_stands_out_in_both_themes(lesson, theme, tmp_path):
    set_theme(lesson.page, theme)
    photograph(lesson, theme, Path(os.environ.get("DCGAN_SCREENSHOTS") or tmp_path))
    for kind in (".jp-RenderedMarkdown", ".jp-OutputArea :is(.jp-RenderedText, table)"):
        texts = lesson.page.evaluate(TEXTS, kind)
        assert texts, kind
        faint = {t["text"]: round(contrast(t), 2) for t in texts if contrast(t) < CONTRAST}
        assert not faint, f"{kind} in {theme}"


@every_lesson
def test_pictures_bring_their_own_light_ground(lesson):
    pictures = lesson.page.locator(".jp-OutputArea img")
    assert pictures.count() >= GIFS[lesson.name] + 2
    for number, picture in enumerate(pictures.all(), 1):
        for corner in picture.evaluate(CORNERS):
            assert min(corner) >= 240 and corner[3] == 255, f"picture {number}"
