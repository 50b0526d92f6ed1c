"""README and the pages: what they link to and repeat, and the notebooks' links to the glossary."""

import re
import unicodedata
from urllib.parse import unquote

import nbformat
import pytest

from assets.make.repository import current_slug
from helpers.course import FURTHER
from helpers.course import NOTEBOOKS as LESSONS
from helpers.data.sources import SOURCES
from helpers.machine import PROFILES, ROOT

NOTEBOOKS = LESSONS + FURTHER
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "assets" / "README.md"]
INDONESIAN = ROOT / "README.id.md"
PAGES += [INDONESIAN, ROOT / "site" / "explorer" / "README.md"]
PAGES += sorted((ROOT / "docs").glob("*.md"))
GLOSSARY = ROOT / "docs" / "glossary.md"
REFERENCES = ROOT / "docs" / "references.md"
TEACHING = ROOT / "docs" / "teaching.md"

# How a lesson first writes a term, where that is not the heading itself.
WORDING = {
    "Covariance matrix": r"covariance matri(?:x|ces)",
    "Density and coverage": r"density",
    "Normalise": r"normalised?",
    "Latent walk": r"walk",  # "the walks of lesson 5"
    "Precision and recall": r"precision",
    "Run": r"(?<=\ba\s)⟦?run",  # elsewhere it is a verb
    "Saturating loss": r"saturates",
}
QUESTION = "**Think first.**"

every_page = pytest.mark.parametrize(
    "path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix()
)


def markdown_cells(path):
    cells = nbformat.read(path, as_version=nbformat.NO_CONVERT).cells
    return [cell.source for cell in cells if cell.cell_type == "markdown"]


def prose(path):
    """What a lesson explains: Markdown without title cell, headings, code and folded answers."""
    text = "\n\n".join(markdown_cells(path)[1:])
    return re.sub(r"(?ms)<details>.*?</details>|^#+ .*?$|`[^`]*`", " ", text)


def headings(text):
    text = re.sub(r"(?ms)^```.*?^```", "", text)
    return re.findall(r"^#+ (.+?)\s*$", text, re.MULTILINE)


def anchor(heading):
    """The anchor GitHub gives a heading: lower case, hyphens for spaces, no punctuation."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def sections(path):
    """The text below each heading of a notebook, up to the next one of any level."""
    parts = re.split(r"(?m)^#+ (.+?)\s*$", "\n\n".join(markdown_cells(path)))
    return dict(zip(parts[1::2], parts[2::2]))


def entries():
    """The glossary: each term and what stands below it."""
    parts = re.split(r"(?m)^### (.+?)\s*$", GLOSSARY.read_text(encoding="utf-8"))
    return dict(zip(parts[1::2], parts[2::2]))


def glossary_page():
    return f"https://github.com/{current_slug()}/blob/main/docs/glossary.md"


def linked_terms(path):
    """The anchors of all links from a notebook to the glossary, in order."""
    text = "\n\n".join(markdown_cells(path))
    return [unquote(found) for found in re.findall(r"\]\([^)\s]*glossary\.md#([^)\s]*)\)", text)]


def marked(path, term):
    """A lesson's prose without addresses, where only the links to one term keep brackets: ⟦ ⟧."""

    def mark(link):
        words, address = link.groups()
        leads_here = unquote(address) == f"{glossary_page()}#{anchor(term)}"
        return f"⟦{words}⟧" if leads_here else words

    text = re.sub(r"\[([^\[\]]*)\]\(([^)\s]*)\)", mark, prose(path))
    return text.replace("**", "")


def first_use(term):
    """The lesson that uses a term first, and whether that first use is a link to the glossary."""
    pattern = WORDING.get(term, re.escape(term).replace(r"\ ", r"\s+"))
    for path in LESSONS:
        text = marked(path, term)
        use = re.search(rf"(?i)(?<![\w-]){pattern}s?(?![\w-])", text)
        if use:
            return path, text.rfind("⟦", 0, use.end()) > text.rfind("⟧", 0, use.end())
    return None, False


def minutes_of(path):
    return re.search(r"(\d+) minutes to read and do", markdown_cells(path)[0]).group(1)


# Glossary


def test_the_glossary_holds_terms_of_every_lesson():
    named = re.findall(r"\[Lesson (\d)\]", GLOSSARY.read_text(encoding="utf-8"))
    assert all(named.count(str(lesson)) >= 5 for lesson in range(1, 6))


def test_entries_stand_in_alphabetical_order():
    plain = [unicodedata.normalize("NFKD", term).casefold() for term in entries()]
    plain = ["".join(c for c in term if not unicodedata.combining(c)) for term in plain]
    assert plain == sorted(set(plain))


@pytest.mark.parametrize("term", entries())
def test_an_entry_is_short_and_ends_with_its_lesson(term):
    definition, lessons = re.split(r"(?=\[Lesson \d\])", entries()[term], maxsplit=1)
    assert 1 <= definition.count(". ") + definition.count(".\n") <= 4
    assert re.fullmatch(r"\[Lesson (\d)\]\(\.\./notebooks/0\1_\w+\.ipynb\)\.\s*", lessons)


@pytest.mark.parametrize("term", entries())
def test_the_lesson_of_an_entry_links_to_it(term):
    (name,) = re.findall(r"\]\(\.\./notebooks/(\S+\.ipynb)\)", entries()[term])
    assert anchor(term) in linked_terms(ROOT / "notebooks" / name)


@pytest.mark.parametrize("term", entries())
def test_the_first_use_of_a_term_is_a_link(term):
    path, linked = first_use(term)
    assert path is not None, f"no lesson uses {term!r}"
    assert linked, f"{path.stem} uses {term!r} without a link"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_lesson_links_to_terms_that_exist_and_to_each_once(path):
    terms = linked_terms(path)
    assert terms
    assert set(terms) <= {anchor(term) for term in entries()}
    assert len(terms) == len(set(terms))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_to_pages_are_absolute_because_colab_follows_no_other(path):
    targets = re.findall(r"\]\(([^)\s]*\.md(?:#[^)\s]*)?)\)", "\n\n".join(markdown_cells(path)))
    pages = glossary_page().removesuffix("docs/glossary.md")
    for target in targets:
        assert target.startswith(pages), target
        assert (ROOT / target.removeprefix(pages).split("#")[0]).is_file(), target


# References


def test_every_paper_that_is_cited_is_among_the_references():
    texts = [cell for path in NOTEBOOKS for cell in markdown_cells(path)]
    texts.append((ROOT / "README.md").read_text(encoding="utf-8"))
    cited = set(re.findall(r"\b\d{4}\.\d{4,5}\b", "\n".join(texts)))
    assert len(cited) >= 5
    listed = re.findall(
        r"<https://arxiv\.org/abs/(\d{4}\.\d{4,5})>", REFERENCES.read_text(encoding="utf-8")
    )
    assert cited <= set(listed)
    assert len(listed) == len(set(listed))


# Teaching


def test_sections_named_for_teachers_exist():
    text = TEACHING.read_text(encoding="utf-8")
    named = re.findall(r"\[\*([^*]+)\*\]\[(\d)\]", text)
    assert named
    for heading, lesson in named:
        assert heading in sections(LESSONS[int(lesson) - 1]), f"{heading}, lesson {lesson}"
    # every other *italic* would escape this test
    assert len(re.findall(r"(?<!\*)\*[^*\s][^*]*\*(?!\*)", text)) == len(named)


def test_sections_named_for_their_question_have_one():
    text = TEACHING.read_text(encoding="utf-8")
    named = re.findall(r'"Think first" in\s+\[\*([^*]+)\*\]\[(\d)\]', text)
    assert len(named) == text.count('"Think first"') > 0
    for heading, lesson in named:
        assert QUESTION in sections(LESSONS[int(lesson) - 1])[heading], heading


def test_the_minutes_of_the_lessons_are_those_of_their_title_cells():
    minutes = [minutes_of(path) for path in LESSONS]
    sentence = f"the lessons take {', '.join(minutes[:-1])} and {minutes[-1]} minutes"
    assert sentence in " ".join(TEACHING.read_text("utf-8").split())


def test_sessions_last_90_minutes():
    tables = re.findall(r"(?m)^\| minutes .*\n\|[-|]+\n((?:\|.*\n)+)", TEACHING.read_text("utf-8"))
    assert len(tables) == 3
    for table in tables:
        assert sum(int(row.split("|")[1]) for row in table.splitlines()) == 90


def test_the_points_of_the_rubric_are_100():
    (table,) = re.findall(
        r"(?m)^\| criterion .*\n\|[-|]+\n((?:\|.*\n)+)", TEACHING.read_text("utf-8")
    )
    assert sum(int(row.split("|")[2]) for row in table.splitlines()) == 100


# README


@pytest.mark.parametrize(
    "paths, folder", [(LESSONS, "notebooks/"), (FURTHER, "notebooks/further/")]
)
def test_the_readme_shows_every_lesson_with_picture_badge_and_minutes(paths, folder):
    """The five in their order, with their numbers, and the further ones in a table of their own."""
    text = README.read_text(encoding="utf-8")
    rows = re.findall(rf"(?m)^\|.*\]\({folder}\w+\.ipynb\).*$", text)
    assert len(rows) == len(paths) > 0
    if paths is LESSONS:
        assert rows == re.findall(r"(?m)^\| \d \|.*$", text)
    for row, path in zip(rows, paths):
        (badge,) = re.findall(r"\[!\[Open in Colab\]\(\S+\)\]\(\S+?\)", row)
        assert badge in markdown_cells(path)[0]
        assert f'src="assets/lessons/{path.stem}.png"' in row
        assert f"]({folder}{path.name})" in row
        assert f"| {minutes_of(path)} |" in row


def test_the_readme_names_profiles_as_they_are():
    text = README.read_text(encoding="utf-8")
    for profile in PROFILES.values():
        images = f"{profile.train_images:,}" if profile.train_images else "all"
        assert re.search(rf"\| `{profile.name}` \| {images}\b[^|]*\| {profile.epochs} \|", text)


def test_the_readme_names_every_known_data_set():
    text = README.read_text(encoding="utf-8")
    table = text.split("## Your own images")[1].split("## Profiles")[0]
    assert not [name for name in SOURCES if f"`{name}`" not in table]


def test_the_readme_begins_with_its_title_and_three_animations():
    text = README.read_text(encoding="utf-8")
    assert text.startswith("# ")
    pictures = re.findall(r'<img src="([^"]+)"', text)
    assert all(path.startswith("assets/") and path.endswith(".gif") for path in pictures[:3])
    assert text.index(pictures[2]) < text.index("## ")


def skeleton(path):
    """What a translation of README shares with it: headings' levels, commands, tables, links."""
    text = path.read_text(encoding="utf-8")
    blocks = re.findall(r"(?ms)^```.*?^```", text)
    prose = re.sub(r"(?ms)^```.*?^```", "", text)
    targets = re.findall(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"", prose)
    other = {"README.md": "the other", "README.id.md": "the other"}
    return {
        "headings": [len(level) for level in re.findall(r"(?m)^(#+) ", prose)],
        "commands": [
            re.split(r" {2,}", line.strip())[0] for block in blocks for line in block.splitlines()
        ],
        "code": sorted(re.findall(r"`([^`]+)`", prose.replace("\n  ", " ").replace("\n", " "))),
        "tables": [line.count("|") for line in re.findall(r"(?m)^\|.*$", prose)],
        "links": [other.get(first or second, first or second) for first, second in targets],
        "numbers of tables": [
            re.findall(r"\d[\d,.]*", re.sub(r"\]\(\S+\)", "", line))
            for line in re.findall(r"(?m)^\|.*$", prose)
        ],
        "names": sorted(re.findall(r"\b[A-Z]{2,}_[A-Z_]+\b", prose)),
    }


@pytest.mark.parametrize("what", skeleton(README))
def test_the_indonesian_readme_keeps_step(what):
    assert skeleton(INDONESIAN)[what] == skeleton(README)[what]


# All pages


@every_page
def test_relative_links_of_pages_lead_to_files_and_headings(path):
    text = path.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    targets += re.findall(r"(?m)^\[[^\]]+\]:\s+(\S+)$", text)
    targets += re.findall(r'(?:src|href)="([^"]+)"', text)
    for target in targets:
        if re.match(r"https?:|mailto:", target):
            continue
        name, _, fragment = target.partition("#")
        page = (path.parent / name).resolve() if name else path
        assert page.is_file(), target
        if fragment and page.suffix == ".md":
            found = headings(page.read_text(encoding="utf-8"))
            assert unquote(fragment) in map(anchor, found), target


@every_page
def test_reference_links_of_pages_are_defined(path):
    text = path.read_text(encoding="utf-8")
    used = set(re.findall(r"\]\[([^\]]+)\]", text))
    assert used <= set(re.findall(r"(?m)^\[([^\]]+)\]:\s", text))


@every_page
def test_pictures_of_pages_have_a_text_alternative(path):
    text = path.read_text(encoding="utf-8")
    assert "![](" not in text
    for image in re.findall(r"<img\b[^>]*>", text):
        assert re.search(r'\balt="[^"]+"', image), image


@every_page
def test_lines_of_pages_are_wrapped(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert not [
        line for line in lines if len(line) > 100 and not re.match(r"\||<img|.*https?:", line)
    ]
