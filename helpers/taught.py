"""Give later notebooks, tests and benchmarks the code that a notebook teaches."""

import json
import linecache
from types import SimpleNamespace

from helpers.environment import ROOT

TAG = "taught"


def taught(notebook: str) -> SimpleNamespace:
    """Run the cells of a notebook that are tagged `taught` and return the names they define.

    Args:
        notebook: file name without ending, for instance "03_architecture".

    Raises:
        FileNotFoundError: there is no such notebook.
        ValueError: the notebook has no tagged cell.
    """
    path = ROOT / "notebooks" / f"{notebook}.ipynb"
    if not path.is_file():
        raise FileNotFoundError(f"There is no notebook {path.name} in notebooks/.")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if TAG in cell["metadata"].get("tags", [])]
    if not sources:
        raise ValueError(f"{path.name} has no cell tagged {TAG!r}, so it defines nothing to share.")
    names = {"__name__": notebook}
    for number, source in enumerate(sources):
        # Known to linecache, so that error messages show the lines of the cell.
        label = f"<{path.name}, taught cell {number + 1}>"
        linecache.cache[label] = (len(source), None, source.splitlines(keepends=True), label)
        exec(compile(source, label, "exec"), names)
    return SimpleNamespace(**{k: v for k, v in names.items() if not k.startswith("__")})
