"""What would break on Windows or macOS, as far as Linux can tell."""

import ast
import fcntl
import os

import pytest

from helpers import files
from helpers.machine import ROOT

SOURCES = sorted((ROOT / "helpers").glob("*.py"))
POSIX_MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "termios"}
POSIX_NAMES = {
    "fork", "getpgid", "getuid", "kill", "killpg", "mkfifo", "sched_getaffinity", "setsid",
    "symlink", "SIGKILL", "set_start_method",
}  # fmt: skip

every_source = pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)


def nodes(path, kind):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, kind)]


@every_source
def test_nothing_is_imported_or_called_that_windows_lacks(path):
    imported = {alias.name for node in nodes(path, ast.Import) for alias in node.names}
    imported |= {node.module for node in nodes(path, ast.ImportFrom)}
    assert not imported & POSIX_MODULES
    assert not {node.attr for node in nodes(path, ast.Attribute)} & POSIX_NAMES


@every_source
def test_text_files_are_read_and_written_as_utf_8(path):
    """Windows would take the encoding of its region."""
    for call in nodes(path, ast.Call):
        method, function = getattr(call.func, "attr", ""), getattr(call.func, "id", "")
        modes = [a.value for a in call.args[1:2] if isinstance(a, ast.Constant)]
        opens_text = function == "open" and not any("b" in mode for mode in modes)
        if opens_text or method in {"read_text", "write_text"}:
            assert "encoding" in {keyword.arg for keyword in call.keywords}, ast.unparse(call)


def test_a_file_is_flushed_through_a_descriptor_open_for_writing(tmp_path, monkeypatch):
    """Windows refuses to flush any other."""
    modes = []
    monkeypatch.setattr(os, "fsync", lambda fd: modes.append(fcntl.fcntl(fd, fcntl.F_GETFL)))
    files.save_json(tmp_path / "a.json", {})
    assert modes and all(mode & os.O_ACCMODE == os.O_RDWR for mode in modes)
