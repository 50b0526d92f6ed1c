"""A run on Google Drive, or in any other folder: one archive, copied as a whole."""

import shutil
import tempfile
import uuid
import zipfile
from pathlib import Path

from helpers.environment import hosting, short
from helpers.files import replacing

MOUNT_POINT = "/content/drive"
LARGEST = 300_000_000  # bytes; larger sets of images are prepared again on the next machine
KNOWN = ".archives"  # in a run's folder: the archives, one id a line, that it has seen


def open_drive(folder: str) -> Path | None:
    """The folder for archives, None for ""; in Colab, Google Drive is mounted first.

    Where Drive cannot be mounted, a line says so and the answer is None: the lesson goes on.

    Raises:
        ValueError: the folder is given by a part of its path.
    """
    if not folder:
        return None
    path = Path(folder).expanduser()
    if not path.is_absolute():
        raise ValueError(
            f"SAVE_TO_DRIVE is {folder!r}; needed is a folder's whole path, such as "
            f"{MOUNT_POINT}/MyDrive/dcgan-course."
        )
    if hosting() == "Colab":
        from google.colab import drive

        try:
            drive.mount(MOUNT_POINT)
        except Exception as error:  # refused by the user, or Drive does not answer
            print(f"Drive is not there ({error}); this run stays on this machine.")
            return None
    return path


def save_run(run) -> None:
    """Copy the run's folder to its archive on Drive; does nothing where the run has none.

    A failing copy costs a line, never the training: the run stays whole on this machine, and an
    earlier archive stays whole on Drive.
    """
    if run.archive is None:
        return
    name = uuid.uuid4().hex
    try:
        if run.archive.is_file() and _name(run.archive) not in _known(run):
            print(
                f"Not saved to Drive: another machine has saved {run.archive.name} since; choose "
                "another RUN_NAME to keep both."
            )
            return
        with open(run.folder / KNOWN, "a", encoding="utf-8") as file:
            file.write(name + "\n")
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder) / run.archive.name
            _pack(run.folder, local, name)
            with replacing(run.archive) as partial:
                shutil.copyfile(local, partial)
    except OSError as error:
        print(f"Not saved to Drive: {error.__cause__ or error}.")
    else:
        print(f"Saved to Drive: {run.archive.name}, {run.archive.stat().st_size / 1e6:.1f} MB.")


def fetch_run(run) -> None:
    """Unpack the run's archive, if there is one and this machine has nothing newer.

    Raises:
        ValueError: the archive is damaged, or both it and this machine have work of their own.
    """
    if run.archive is None:
        return
    if not run.archive.is_file():
        others = sorted(path.name for path in run.archive.parent.glob("*.zip"))
        print(f"On Drive: no {run.archive.name} yet; there is {', '.join(others) or 'nothing'}.")
        return
    try:
        with zipfile.ZipFile(run.archive) as archive:
            name = archive.comment.decode()
            if name in _known(run):
                return
            if run.folder.exists() and any(run.folder.iterdir()):
                raise ValueError(
                    f"{run.archive.name} on Drive and {short(run.folder)} on this machine differ, "
                    "and both hold work: choose another RUN_NAME, or move one of the two away."
                )
            _unpack(archive, run.folder, name)
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise ValueError(
            f"{run.archive.name} on Drive cannot be read ({error}); move it away and run again."
        ) from error
    print(f"Fetched from Drive: {run.archive.name}.")


def _name(archive) -> str:
    """The id of an archive; "" of what is no archive."""
    try:
        with zipfile.ZipFile(archive) as file:
            return file.comment.decode()
    except zipfile.BadZipFile:
        return ""


def _known(run) -> list[str]:
    """The ids of the archives that this machine has read or written."""
    known = run.folder / KNOWN
    return known.read_text(encoding="utf-8").split() if known.is_file() else []


def _pack(folder, path, name) -> None:
    """Put every file of a run into a zip, but hidden ones, executed notebooks and huge images."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            parts = file.relative_to(folder).parts
            left_out = parts[0] == "executed" or any(part.startswith(".") for part in parts)
            if file.is_file() and not left_out and file.stat().st_size <= LARGEST:
                archive.write(file, "/".join(parts))
        archive.comment = name.encode()


def _unpack(archive, folder, name) -> None:
    """Unpack beside the run's folder, then rename: the folder is whole or not there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".partial"))
    try:
        archive.extractall(partial)
        (partial / KNOWN).write_text(name + "\n", encoding="utf-8")
        if folder.exists():
            folder.rmdir()  # it is empty
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
