"""The course as web pages, from a disk and without a network; `make site` makes them before.

Set DCGAN_SCREENSHOTS to a folder to keep pictures of some, narrow and wide, light and dark.
"""

import os
import re
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from assets.make.repository import current_slug
from helpers.course import FURTHER, NOTEBOOKS
from helpers.machine import ROOT

HTML = ROOT / "site" / "build" / "html"
PATHS = sorted(set(HTML.rglob("*.html")) - set(HTML.glob("_static/**/*.html")))
LESSONS = [
    HTML / path.relative_to(ROOT).with_suffix(".html").as_posix() for path in NOTEBOOKS + FURTHER
]
MOST_BYTES, MOST_BYTES_OF_A_LESSON = 60e6, 3e6
PATIENCE = 30_000  # milliseconds
PLAY = HTML / "notebooks" / "further" / "play.html"
ANCHOR = re.compile(r'\b(?:id|name)="([^"]+)"')


@pytest.fixture
def page(browser, request):
    """A page without a network that notes what goes wrong and what is asked for."""
    options = getattr(request, "param", {})
    page = browser.new_context(offline=True, **options).new_page()
    page.problems, page.asked = [], []
    page.on("console", lambda m: page.problems.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("request", lambda request: page.asked.append(request.url))
    yield page
    page.context.close()


def targets(path):
    """Where the links, pictures, scripts and styles of a page lead, within the site."""
    text = path.read_text(encoding="utf-8")
    for address in re.findall(r'\b(?:href|src)="([^"]+)"', text):
        parts = urlsplit(unescape(address))
        if not parts.scheme and not parts.netloc:
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            yield address, target, unquote(parts.fragment)


def test_every_lesson_has_a_page():
    assert all(path.is_file() for path in LESSONS)


def test_links_within_the_site_lead_somewhere():
    anchors = {path: set(ANCHOR.findall(path.read_text(encoding="utf-8"))) for path in PATHS}
    lost = [
        f"{path.relative_to(HTML)}: {address}"
        for path in PATHS
        for address, target, fragment in targets(path)
        if not target.exists()
        or (fragment and target in anchors and fragment not in anchors[target])
    ]
    assert not lost


def test_no_link_leaves_the_site_for_a_page_that_is_in_it():
    away = rf"https://github\.com/{current_slug()}/blob/main/(?:docs|notebooks|assets)/"
    for path in LESSONS:
        text = path.read_text(encoding="utf-8")
        article = text.split("<article", 1)[1].split("</article>")[0]
        assert not re.search(away, article), path.name
        assert "docs/glossary.html#" in article
        assert "colab.research.google.com/github/" in article
        assert 'class="left-prev"' in text and 'class="right-next"' in text


def test_the_site_is_small():
    assert sum(path.stat().st_size for path in HTML.rglob("*") if path.is_file()) <= MOST_BYTES


def test_every_page_opens_offline_without_an_error(page):
    for path in PATHS:
        page.goto(path.as_uri(), wait_until="load")
        pictures = page.locator("img").evaluate_all(
            """all => Promise.all(all.map(img => {
                img.loading = "eager";
                return img.decode().then(() => "", () => img.src);
            }))"""
        )
        assert not any(pictures), path.name
        assert not page.problems, path.name
    assert not [address for address in page.asked if re.match("https?:", address)]


@pytest.mark.parametrize("page", [{"viewport": {"width": 1400, "height": 900}}], indirect=True)
def test_a_lesson_asks_for_little_before_scrolling(page):
    for path in LESSONS:
        page.asked.clear()
        page.goto(path.as_uri(), wait_until="load")
        page.wait_for_timeout(500)  # for what lazy pictures and formulas ask for
        files = {Path(unquote(urlsplit(address).path)) for address in page.asked}
        assert sum(file.stat().st_size for file in files if file.is_file()) <= (
            MOST_BYTES_OF_A_LESSON
        ), path.name


def test_formulas_are_set(page):
    page.goto(LESSONS[4].as_uri())
    page.wait_for_selector("article mjx-container", timeout=PATIENCE)
    assert page.locator("mjx-merror").count() == 0
    assert "$" not in page.locator("article p").evaluate_all(
        "all => all.map(p => p.innerText).join()"
    )


def test_folded_answers_unfold(page):
    page.goto(LESSONS[2].as_uri())
    answer = page.locator("article details:not(.hide)").first
    hidden = answer.locator("p").first
    assert not hidden.is_visible()
    answer.locator("summary").first.click()
    assert hidden.is_visible()


def test_gifs_move(page):
    page.goto(LESSONS[3].as_uri())
    (name,) = [
        picture.get_attribute("src")
        for picture in page.locator("article img").all()
        if (LESSONS[3].parent / picture.get_attribute("src")).read_bytes()[:3] == b"GIF"
    ]
    gif = page.locator(f"article img[src='{name}']")
    gif.scroll_into_view_if_needed()
    seen = set()
    for _ in range(10):
        seen.add(gif.screenshot())
        page.wait_for_timeout(300)
    assert len(seen) > 2


def test_search_finds_a_term(page):
    page.goto(f"{(HTML / 'search.html').as_uri()}?q=checkerboard")
    page.wait_for_selector("#search-results li a", timeout=PATIENCE)
    assert any(
        "glossary" in str(a.get_attribute("href")) for a in page.locator("#search-results a").all()
    )


def test_the_front_page_leads_to_the_explorer(page):
    page.goto((HTML / "index.html").as_uri())  # what a host shows for the site's address
    title = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
    assert page.locator("article h1").inner_text().startswith(title)
    links = page.locator(".bd-sidebar-primary a[href*='explorer']")
    page.goto((HTML / links.first.get_attribute("href")).as_uri())
    page.get_by_role("link", name="Open the page").click()
    page.wait_for_url("**/explorer/index.html")
    page.wait_for_function("explorer.drawn > 0", timeout=PATIENCE)
    page.get_by_role("link", name="third lesson").click()
    page.wait_for_url("**/03_architecture.html")


STACKED = """([upper, lower, wanted]) => {
    const boxes = [upper, lower].map(part => document.querySelector(part)?.getBoundingClientRect());
    return boxes.every(box => box?.width) && (boxes[1].top >= boxes[0].bottom) === wanted;
}"""


def test_figures_that_move_stack_their_parts_while_they_are_narrow(page):
    page.goto(PLAY.as_uri())
    machine, chart = (
        f"#{figure.get_attribute('id')}" for figure in page.locator("div[id^='figure-']").all()
    )
    for width, stacked in ((1400, False), (390, True), (1400, False)):
        page.set_viewport_size({"width": width, "height": 900})
        for figure, upper, lower in (
            (machine, "image", ".xy .lines"),
            (chart, ".xy .points", ".legend"),
            (chart, ".xy .points", "div[style*='background-image']"),
        ):
            page.locator(figure).scroll_into_view_if_needed()
            if "background" in lower:
                page.locator(f"{figure} .points path").first.hover(force=True)
            parts = [f"{figure} {upper}", f"{figure} {lower}", stacked]
            page.wait_for_function(STACKED, arg=parts, timeout=PATIENCE)


STRETCHED = """all => Promise.all(all.map(async img => {
    img.loading = "eager";
    await img.decode();
    const style = getComputedStyle(img), padding = 2 * parseFloat(style.padding);
    const shown = (parseFloat(style.width) - padding) / (parseFloat(style.height) - padding);
    return Math.abs(shown * img.naturalHeight / img.naturalWidth - 1);
}))"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_it_fits_narrow_and_wide(width, scheme, browser, tmp_path):
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
    )
    page = context.new_page()
    keep = Path(os.environ.get("DCGAN_SCREENSHOTS") or tmp_path)
    for path in (HTML / "README.html", LESSONS[2], HTML / "docs" / "glossary.html"):
        page.goto(path.as_uri())
        page.screenshot(path=keep / f"site-{path.stem}-{width}-{scheme}.png")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path.name
        assert page.locator("html").get_attribute("data-theme") == scheme
        stretched = page.locator("article img").evaluate_all(STRETCHED)
        assert all(share < 0.02 for share in stretched), path.name
    context.close()
