"""A run on Google Drive, or in any other folder: numbered archives, each of the whole run.

Those of the run `mnist` are `mnist.0001.zip`, `mnist.0002.zip` and so on; the last two are kept.
"""

import re
import shutil
import tempfile
import zipfile
from pathlib import Path

from helpers.files import atomic_write, sha256
from helpers.machine import hosting, short
from helpers.refused import Refused
from helpers.run import newest_record

MOUNT_POINT = "/content/drive"


def open_drive(folder: str) -> Path | None:
    """The folder for archives, None for ""; in Colab, Google Drive is mounted first.

    Where Drive cannot be mounted or the folder cannot be made, a line says so and the answer is
    None: the lesson goes on.

    Raises:
        Refused: the folder is given by a part of its path.
    """
    if not folder:
        return None
    path = Path(folder).expanduser()
    if not path.is_absolute():
        raise Refused(
            f"SAVE_TO_DRIVE is {folder!r}; needed is a folder's whole path, such as "
            f"{MOUNT_POINT}/MyDrive/dcgan-course."
        )
    try:
        if hosting() == "Colab":
            from google.colab import drive

            drive.mount(MOUNT_POINT)
        path.mkdir(parents=True, exist_ok=True)
    except Exception as error:  # refused by the user, or Drive does not answer
        print(f"Drive is not there ({error}); this run stays on this machine.")
        return None
    return path


def save_run(run) -> None:
    """Copy the run's folder to a new archive on Drive; does nothing where the run has no Drive.

    A failing copy costs a line, never the training: the run stays whole on this machine, and the
    earlier archives stay whole on Drive.
    """
    if run.drive is None or not run.folder.is_dir():
        return
    try:
        number = max((_number(path) for path in _archives(run)), default=0) + 1
        target = run.drive / f"{run.name}.{number:04d}.zip"
        with tempfile.TemporaryDirectory() as folder:
            local = Path(shutil.make_archive(str(Path(folder, "run")), "zip", run.folder))
            size = local.stat().st_size
            with atomic_write(target) as partial:
                shutil.copyfile(local, partial)
                if sha256(partial) != sha256(local):
                    raise OSError("the copy is not what was written")
        print(f"Saved to Drive: {target.name}, {size / 1e6:.1f} MB.")
        for old in _archives(run)[:-2]:
            old.write_bytes(b"")  # Drive counts what lies in its bin
            old.unlink()
    except OSError as error:
        print(f"Not saved to Drive: {error.__cause__ or error}.")


def fetch_run(run) -> None:
    """Take the newest whole archive from Drive, where this machine has nothing that it would lose.

    That is where the run's folder is empty, or holds the same training with fewer epochs. A damaged
    archive costs a line, and so does a Drive that cannot be read.

    Raises:
        Refused: Drive holds a training that is not this machine's, or nothing but damaged archives;
            nothing is overwritten.
    """
    if run.drive is None:
        return
    empty = not run.folder.is_dir() or not any(run.folder.iterdir())
    run.folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=run.folder.parent, prefix=".partial") as beside:
        archive = _unpack_newest(run, Path(beside, "run"))
        if archive is None:
            if empty and _archives(run):
                raise Refused(
                    f"No archive of {run.name} on Drive can be read; move them away and run again."
                )
            return
        if not empty and not _goes_on(run, Path(beside, "run"), archive):
            print(f"Drive has no later state of {short(run.folder)} than this machine.")
            return
        if run.folder.is_dir():
            run.folder.rename(Path(beside, "before"))
        Path(beside, "run").rename(run.folder)
    print(f"Fetched from Drive: {archive.name}.")


def _archives(run) -> list[Path]:
    """The archives of a run on Drive, oldest first."""
    name = re.compile(rf"{re.escape(run.name)}\.\d{{4,}}\.zip")
    return sorted(filter(lambda path: name.fullmatch(path.name), run.drive.iterdir()), key=_number)


def _number(path) -> int:
    return int(path.stem.rpartition(".")[2])


def _unpack_newest(run, folder) -> Path | None:
    """Unpack the newest archive that is whole into a new folder; None where there is none."""
    try:
        archives = _archives(run)
    except OSError as error:
        print(f"Not fetched from Drive: {error}.")
        return None
    if not archives:
        print(f"On Drive: no {run.name} yet.")
    for path in reversed(archives):
        try:
            with zipfile.ZipFile(path) as archive:
                size = sum(info.file_size for info in archive.infolist())
                if size > shutil.disk_usage(folder.parent).free:
                    raise OSError(f"unpacked it is larger than the free space, {size / 1e9:.1f} GB")
                archive.extractall(folder)  # never out of the folder, and links as plain files
            return path
        except Exception as error:  # zipfile and zlib raise many kinds for a bad file
            print(f"{path.name} on Drive cannot be read ({error}).")
            shutil.rmtree(folder, ignore_errors=True)
    return None


def _goes_on(run, fetched, archive) -> bool:
    """Whether an archive holds a later state of this machine's training.

    Raises:
        Refused: it holds another training.
    """
    mine, theirs = newest_record(run.folder), newest_record(fetched)
    if theirs is None:
        return False
    if mine is None or mine["id"] != theirs["id"]:
        raise Refused(
            f"{archive.name} on Drive and {short(run.folder)} on this machine hold different "
            "work: choose another RUN_NAME, or move one of the two away."
        )
    return theirs["epoch"] > mine["epoch"]
