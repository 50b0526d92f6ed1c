"""Execute the notebooks: a learner's run of the five lessons, or the outputs that are committed.

python -m helpers.course run --dataset fashion_mnist
python -m helpers.course notebooks
python -m helpers.course notebooks pytorch
python -m helpers.course train --run NAME    on each of several machines: docs/several-devices.md
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import nbformat
import papermill

from helpers import open_run, short
from helpers.cluster import train
from helpers.data.opening import find_path
from helpers.files import atomic_write
from helpers.machine import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FURTHER = sorted((ROOT / "notebooks" / "further").glob("*.ipynb"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["run", "notebooks", "train"])
    parser.add_argument(
        "lessons", nargs="*", help="further lessons for `notebooks`; none: all there are"
    )
    parser.add_argument("--dataset", default="fashion_mnist")
    parser.add_argument("--runs", help="folder for the runs of `notebooks`, which go on from there")
    parser.add_argument("--run", default="", help="name of the run that `train` trains")
    parser.add_argument("--epochs", type=int, default=0, help="of `train`; 0: the profile's")
    parser.add_argument("--batch-size", type=int, default=0, help="of `train`; 0: the recipe's")
    parser.add_argument("--devices", default="1", help='of `train` on one machine; "all": all GPUs')
    arguments = parser.parse_args()
    if arguments.command != "notebooks" and arguments.lessons:
        parser.error("`run` executes the five lessons; open a further one in Jupyter.")
    try:
        if arguments.command == "run":
            path = find_path(arguments.dataset)
            run_course(str(path.resolve()) if path else arguments.dataset)
        elif arguments.command == "train":
            names = {"RUN_NAME": arguments.run, "DATASET": arguments.dataset}
            names |= {"EPOCHS": arguments.epochs, "BATCH_SIZE": arguments.batch_size}
            train(names | {"DEVICES": 1 if arguments.devices == "1" else arguments.devices})
        else:
            execute_in_place(chosen(arguments.lessons), arguments.runs)
    except papermill.PapermillExecutionError as error:
        raise SystemExit(f"The lesson stopped in cell {error.exec_count}: {error.evalue}") from None
    except (ValueError, OSError) as error:
        raise SystemExit(str(error)) from None


def run_course(dataset: str) -> None:
    """Execute copies of the notebooks for one data set and print where the results are."""
    run = open_run(dataset)
    executed = run.folder / "executed"
    executed.mkdir(parents=True, exist_ok=True)
    for notebook in NOTEBOOKS:
        execute(notebook, executed / notebook.name, {"DATASET": dataset})
    scores = json.loads((run.folder / "metrics.json").read_text(encoding="utf-8"))
    print(f"\nGIF                 {short(run.folder / 'training.gif')}")
    print(f"Scores              {short(run.folder / 'metrics.json')}")
    print(f"Executed notebooks  {short(executed)}")
    generated, floor = (
        scores["scores"][name]["frechet"] for name in ("last epoch", "training images")
    )
    print(
        f"Fréchet distance    {generated['value']:.1f} from {generated['generated']:,} images "
        f"(real images: {floor['value']:.1f})"
    )


def chosen(lessons: list[str]) -> list[Path]:
    """The notebooks of these further lessons, or all of the course: the five need each other."""
    further = {path.stem: path for path in FURTHER}
    for lesson in lessons:
        if lesson not in further:
            raise ValueError(f"{lesson!r} is no further lesson; there are {', '.join(further)}.")
    return [further[lesson] for lesson in lessons] or NOTEBOOKS + FURTHER


def execute_in_place(notebooks: list[Path], runs: str | None) -> None:
    """Execute notebooks in one pass and write their outputs back.

    Args:
        runs: where the runs go, and stay; None takes a new folder and removes it.
    """
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DCGAN_RUNS"] = os.path.abspath(runs or os.path.join(folder, "runs"))
        for notebook in notebooks:
            copy = Path(folder) / notebook.name
            execute(notebook, copy, {})
            content = nbformat.read(copy, as_version=4)
            tidy(content)
            with atomic_write(notebook) as partial:
                nbformat.write(content, partial)


def execute(notebook: Path, target: Path, parameters: dict) -> None:
    """Execute one notebook from its own folder into `target`, and print the time it took."""
    print(f"{notebook.stem} ...", flush=True)
    start = time.monotonic()
    papermill.execute_notebook(
        notebook,
        target,
        parameters,
        cwd=notebook.parent,
        kernel_name="python3",
        progress_bar=False,
        coalesce_streams=True,
        extra_arguments=["--log-level=ERROR"],  # no word of the kernel's own on its connection
    )
    print(f"{notebook.stem} took {time.monotonic() - start:.0f} s", flush=True)


def tidy(notebook) -> None:
    """Drop what an execution adds and a reader does not need: timings, stderr, dead widgets."""
    for name in ("papermill", "widgets"):
        notebook.metadata.pop(name, None)
    for cell in notebook.cells:
        kept = ("cellView", "jupyter", "tags")  # the first two fold a cell, in Colab and Jupyter
        metadata = {name: cell.metadata[name] for name in kept if cell.metadata.get(name)}
        cell.metadata = nbformat.NotebookNode(metadata)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                for mime in [mime for mime in output.get("data", {}) if "widget" in mime]:
                    del output.data[mime]


if __name__ == "__main__":
    main()
