"""The repository's address: in one place, equal everywhere, changed by one command."""

import re
import shutil
import subprocess
import sys

import pytest

from assets.make import repository
from helpers.machine import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").rglob("*.ipynb"))
LINK = re.compile(
    r"(?:github\.com/|/github/)([\w-]+/[\w.-]+)/(?:blob|issues|actions|archive|tree)/"
)


@pytest.fixture
def fork(tmp_path):
    """The files that name the address, copied."""
    for path in [ROOT / "pyproject.toml", *repository.files_with_address()]:
        target = tmp_path / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return tmp_path


def contents(root):
    paths = [root / "pyproject.toml", *repository.files_with_address(root)]
    return {path.relative_to(root): path.read_text(encoding="utf-8") for path in paths}


def test_every_link_into_the_repository_has_the_one_address():
    slug = repository.current_slug()
    linking = set()
    for path, text in contents(ROOT).items():
        slugs = set(LINK.findall(text))
        assert slugs <= {slug}, path
        if slugs:
            linking.add(path.as_posix())
    notebooks = {path.relative_to(ROOT).as_posix() for path in NOTEBOOKS}
    assert notebooks | {"README.md"} <= linking


def test_the_set_up_cells_clone_the_one_address():
    for path in NOTEBOOKS:
        addresses = re.findall(
            r'\\"clone\\".*?\\"(https:[^\\"]+)\\"', path.read_text(encoding="utf-8")
        )
        assert addresses == [f"https://github.com/{repository.current_slug()}"], path.name


def test_no_other_file_names_the_address():
    named = {ROOT / "pyproject.toml", *repository.files_with_address()}
    for folder in ("helpers", "tests", "assets"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in {".py", ".md", ".json", ".txt"} and path not in named:
                assert repository.current_slug() not in path.read_text(encoding="utf-8"), path


def test_a_fork_gets_its_address_everywhere_and_nothing_else_changes(fork):
    before, old = contents(fork), repository.current_slug()
    repository.write_slug("somebody-else/gans.2027", fork)
    after = contents(fork)
    assert repository.current_slug(fork) == "somebody-else/gans.2027"
    for path, text in before.items():
        assert after[path] == text.replace(old, "somebody-else/gans.2027"), path
    repository.write_slug(old, fork)
    assert contents(fork) == before


@pytest.mark.parametrize(
    "slug",
    ["", "name", "a/b/c", "https://github.com/a/b", "-a/b", "a/b.git"],
)
def test_what_is_no_address_is_refused(slug, fork):
    before = contents(fork)
    with pytest.raises(ValueError, match="owner/name") as failure:
        repository.write_slug(slug, fork)
    assert repr(slug) in str(failure.value)
    assert contents(fork) == before


def test_the_command_needs_no_package_and_refuses_in_one_sentence():
    command = [sys.executable, "-I", "-S", repository.__file__, "nonsense"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 1
    assert finished.stderr.startswith("SLUG is 'nonsense'") and finished.stderr.count("\n") == 1
