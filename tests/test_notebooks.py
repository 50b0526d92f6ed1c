"""The look of the notebooks: shape, wording and, in the second half, the committed outputs."""

import ast
import base64
import functools
import re
import statistics

import nbformat
import pytest

import helpers
from helpers.course import FURTHER
from helpers.course import NOTEBOOKS as LESSONS
from helpers.machine import ROOT

NOTEBOOKS = LESSONS + FURTHER
TAGS = {
    "setup", "parameters", "further-parameters", "taught", "long", "nbval-check-output",
}  # fmt: skip
LAST_SECTIONS = ["What you learned", "Exercises", "What was saved", "Solutions"]
MACHINE_PATH = re.compile(r"(?<![\w.:/-])/(?:home|root|tmp|work|var|usr|opt|mnt|Users|private)/")

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@functools.cache
def read(path):
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


def code_cells(path, tag=None):
    return [
        cell
        for cell in read(path).cells
        if cell.cell_type == "code" and (tag is None or tag in cell.metadata.get("tags", []))
    ]


def prose(path):
    return "\n\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")


def section(path, heading):
    """The code cells between a heading of the second level and the next."""
    found, inside = [], False
    for cell in read(path).cells:
        if cell.cell_type == "markdown":
            headings = re.findall(r"^## (.+)$", cell.source, re.MULTILINE)
            inside = headings[-1] == heading if headings else inside
        elif inside:
            found.append(cell)
    return found


def exercises(path):
    return [cell for cell in section(path, "Exercises") if "helpers.check(" in cell.source]


def solutions(path):
    """Solution cells of exercises; lesson 1 also solves its self-test, which sets no answer."""
    return [
        cell
        for cell in section(path, "Solutions")
        if any(
            getattr(node, "id", getattr(node, "name", None)) == "answer"
            for statement in ast.parse(cell.source).body
            for node in [statement, *getattr(statement, "targets", [])]
        )
    ]


def printed(cell):
    return "".join(
        output.text
        for output in cell.outputs
        if output.output_type == "stream" and output.name == "stdout"
    )


def shown(path, mime):
    """Everything of one mime type that the notebook's outputs hold."""
    return [
        output.data[mime]
        for cell in code_cells(path)
        for output in cell.outputs
        if mime in output.get("data", {})
    ]


def line_counts(path):
    return [len(cell.source.splitlines()) for cell in code_cells(path)]


def parameter_lines(path):
    (cell,) = code_cells(path, "parameters")
    return {
        line.split(" = ")[0]: line for line in cell.source.splitlines() if not line.startswith("#")
    }


# Shape


def test_there_are_five_lessons():
    assert [path.stem for path in LESSONS] == [
        "01_introduction",
        "02_data_preparation",
        "03_architecture",
        "04_training",
        "05_evaluation",
    ]


@every_notebook
def test_is_a_valid_notebook(path):
    nbformat.validate(read(path))


@every_notebook
def test_tags_are_known(path):
    tags = {tag for cell in read(path).cells for tag in cell.metadata.get("tags", [])}
    assert tags <= TAGS


def test_the_set_up_cell_is_the_same_everywhere():
    sources = set()
    for path in NOTEBOOKS:
        (cell,) = code_cells(path, "setup")
        assert cell is code_cells(path)[0]
        sources.add(cell.source)
    assert len(sources) == 1


def test_badges_open_their_own_notebook_of_the_repository_that_the_set_up_clones():
    (setup,) = code_cells(LESSONS[0], "setup")
    (repository,) = re.findall(r'"https://github\.com/([^"]+)"', setup.source)
    for path in NOTEBOOKS:
        targets = re.findall(
            r"\[!\[Open in Colab\]\(https://colab\.research\.google\.com/assets/colab-badge\.svg\)\]"
            r"\(https://colab\.research\.google\.com/github/(\S+)\)",
            read(path).cells[0].source,
        )
        assert targets == [f"{repository}/blob/main/{path.relative_to(ROOT).as_posix()}"]


@every_notebook
def test_parameters_are_literals(path):
    (cell,) = code_cells(path, "parameters")
    folded = code_cells(path, "further-parameters")
    for each in folded:
        assert each.metadata.cellView == "form" and each.metadata.jupyter.source_hidden
    sources = [each.source for each in (*folded, cell)]
    for statement in ast.parse("\n".join(sources)).body:
        assert isinstance(statement, ast.Assign), ast.unparse(statement)
        (target,) = statement.targets
        assert isinstance(target, ast.Name)
        assert target.id.isupper()
        ast.literal_eval(statement.value)
    assert all("  #@param " in line for line in parameter_lines(path).values())


@pytest.mark.parametrize("path", LESSONS[1:] + FURTHER, ids=lambda path: path.stem)
def test_the_data_set_parameter_offers_every_source(path):
    line = parameter_lines(path)["DATASET"]
    default, options = re.fullmatch(
        r'DATASET = "(\w+)"  #@param (\[.*\]) \{allow-input: true\}', line
    ).groups()
    assert ast.literal_eval(options) == list(helpers.SOURCES)
    assert default == "fashion_mnist"


def test_a_parameter_that_several_lessons_have_is_one_line():
    lines = {}
    for path in NOTEBOOKS:
        for name, line in parameter_lines(path).items():
            assert lines.setdefault(name, line) == line, path.name


@every_notebook
def test_prose_is_short(path):
    text = re.sub(r"\]\([^)]*\)|<[^>]+>", " ", prose(path))  # without addresses and HTML
    words = [word for word in text.split() if re.search(r"\w", word)]
    assert len(words) <= 2160


@every_notebook
def test_cells_are_few_and_small(path):
    lines = line_counts(path)
    few, short = (38, 7) if path in LESSONS else (45, 15)  # a further lesson shows more code
    assert len(lines) <= few
    assert statistics.median(lines) <= short
    assert max(lines) <= 30  # about 25


@every_notebook
def test_ends_in_the_common_order(path):
    headings = re.findall(r"^## (.+)$", prose(path), re.MULTILINE)
    assert headings[-4:] == LAST_SECTIONS


@pytest.mark.parametrize("number", range(4), ids=lambda number: LESSONS[number].stem)
def test_links_to_the_next_lesson_before_the_solutions(number):
    before_solutions = prose(LESSONS[number]).split("## What was saved")[1].split("## ")[0]
    assert f"]({LESSONS[number + 1].name})" in before_solutions


@every_notebook
def test_has_exercises_that_check_themselves(path):
    assert len(exercises(path)) >= 3
    assert all(cell.source.startswith("answer = None") for cell in exercises(path))


@every_notebook
def test_every_exercise_has_a_typical_wrong_answer_that_conftest_tries(path):
    wrong = helpers.load_json(ROOT / "tests" / "wrong_answers.json")[path.stem]
    assert set(wrong) == {cell.id for cell in exercises(path)}


@every_notebook
def test_every_exercise_has_a_solution_that_runs_the_check(path):
    assert len(solutions(path)) == len(exercises(path))
    assert all("helpers.check(answer, " in cell.source for cell in solutions(path))


@every_notebook
def test_has_folded_answers_that_render(path):
    text = prose(path)
    assert text.count("<details>") >= 2
    assert text.count("<details>") == text.count("</details>") == text.count("</summary>")
    assert not re.search(r"</summary>(?!\n\n)", text)


@every_notebook
def test_images_have_a_text_alternative(path):
    assert "![](" not in prose(path)
    for image in re.findall(r"<img\b[^>]*>", prose(path)):
        assert re.search(r'\balt="[^"]+"', image), image


@every_notebook
def test_relative_links_lead_to_files(path):
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(path))
    targets += re.findall(r'(?:src|href)="([^"]+)"', prose(path))
    for target in targets:
        if not re.match(r"https?:|#", target):
            assert (path.parent / target.split("#")[0]).is_file(), target


@every_notebook
def test_sources_name_no_folder_of_a_machine(path):
    assert not [cell.source for cell in read(path).cells if MACHINE_PATH.search(cell.source)]


@every_notebook
def test_nothing_is_left_to_do(path):
    assert not [cell.source for cell in read(path).cells if "TODO" in cell.source]


@every_notebook
def test_nbval_compares_several_cells(path):
    assert len(code_cells(path, "nbval-check-output")) >= 3


# What is taught


@every_notebook
def test_taught_cells_only_define(path):
    definitions = ast.Import | ast.ImportFrom | ast.Assign | ast.FunctionDef | ast.ClassDef
    for cell in code_cells(path, "taught"):
        for statement in ast.parse(cell.source).body:
            assert isinstance(statement, definitions), ast.unparse(statement)


def test_taught_cells_give_the_networks_and_the_training():
    assert {"build_generator", "build_discriminator"} <= vars(
        helpers.taught("03_architecture")
    ).keys()
    assert {"DCGAN", "make_optimizer", "discriminator_loss", "generator_loss"} <= vars(
        helpers.taught("04_training")
    ).keys()


def test_the_training_step_is_short():
    steps = [
        node
        for cell in code_cells(LESSONS[3], "taught")
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.FunctionDef) and node.name == "train_step"
    ]
    (step,) = steps
    assert step.end_lineno - step.lineno + 1 <= 25


# Committed outputs: `make notebooks` writes them


@every_notebook
def test_outputs_come_from_one_pass(path):
    counts = [cell.execution_count for cell in code_cells(path)]
    assert counts == list(range(1, len(counts) + 1))


@every_notebook
def test_outputs_hold_no_errors_and_no_stderr(path):
    outputs = [output for cell in code_cells(path) for output in cell.outputs]
    assert outputs
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output.text for output in outputs if output.get("name") == "stderr"]


@every_notebook
def test_outputs_hold_no_widgets(path):
    mimes = {
        mime
        for cell in code_cells(path)
        for output in cell.outputs
        for mime in output.get("data", {})
    }
    assert mimes
    assert not [mime for mime in mimes if "widget" in mime]
    assert "widgets" not in read(path).metadata


@every_notebook
def test_outputs_name_no_folder_of_a_machine(path):
    texts = [printed(cell) for cell in code_cells(path)]
    texts += shown(path, "text/plain") + shown(path, "text/html")
    assert any(texts)
    assert not [text for text in texts if MACHINE_PATH.search(text) or str(ROOT) in text]


@every_notebook
def test_outputs_of_exercises_are_unanswered(path):
    for cell in exercises(path):
        assert printed(cell).startswith("Unanswered"), cell.source


@every_notebook
def test_outputs_of_solutions_are_right(path):
    for cell in solutions(path):
        assert printed(cell) == "Right.\n", cell.source


@every_notebook
def test_outputs_that_nbval_compares_hold_text(path):
    for cell in code_cells(path, "nbval-check-output"):
        assert printed(cell), cell.source


@every_notebook
def test_outputs_are_small(path):
    assert path.stat().st_size <= 2_200_000
    for gif in animations(path):
        assert len(gif) <= 1_000_000


def animations(path):
    """The GIFs, which go out as image/png: nbconvert drops image/gif and shows their text."""
    pictures = [base64.b64decode(picture) for picture in shown(path, "image/png")]
    return [picture for picture in pictures if picture.startswith(b"GIF8")]


@pytest.mark.parametrize("path", [LESSONS[0], LESSONS[3]], ids=lambda path: path.stem)
def test_outputs_hold_animations_that_every_viewer_shows(path):
    assert animations(path)
    assert not shown(path, "image/gif")


@every_notebook
def test_no_hint_can_be_read_in_a_cell(path):
    lesson = path.stem.split("_")[0]  # "01", "pytorch"
    hints = helpers.load_json(ROOT / "assets" / "hints" / f"{lesson}.json")
    text = "".join(cell.source for cell in read(path).cells)
    used = re.findall(r"""hint=["'](\w+)/([^"']+)["']""", text)
    assert used and {name for name, _ in used} == {lesson}
    assert {name for _, name in used} == hints.keys()
    assert not [hint for hint in hints.values() if hint in text]
