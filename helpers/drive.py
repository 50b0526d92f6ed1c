"""A run on Google Drive, or in any other folder: numbered archives, each copied as a whole.

Those of the run `mnist` are `mnist.0001.zip`, `mnist.0002.zip` and so on; the last two are kept.
"""

import os
import re
import shutil
import stat
import tempfile
import uuid
import zipfile
from pathlib import Path

from helpers.checkpoints import REPLACED, checkpoint_files
from helpers.collection import leads_out, shown
from helpers.environment import hosting, short
from helpers.files import replacing, sha256

MOUNT_POINT = "/content/drive"
LARGEST = 300_000_000  # bytes of images; a larger set is prepared again on the next machine
KNOWN = ".archives"  # in a run's folder: the archives, one id a line, that it has seen
ARCHIVE = re.compile(r"(\w.*)\.([0-9]{4}|[1-9][0-9]{4,})\.zip")  # a run's name and a number
LEFTOVER = re.compile(r"\.(\w.*)\.[0-9]{4,}\.partial\.zip")  # of a copy that was killed
ID = re.compile(rb"[0-9a-f]{32}")  # an archive's comment


def open_drive(folder: str) -> Path | None:
    """The folder for archives, None for ""; in Colab, Google Drive is mounted first.

    Where Drive cannot be mounted or the folder cannot be made, a line says so and the answer is
    None: the lesson goes on.

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
    if run.drive is None:
        return
    try:
        with tempfile.TemporaryDirectory() as folder:
            names = os.listdir(run.drive)
            archives = _archives(run.drive, names).get(run.name, {})
            earlier = _earlier(run, archives, folder)
            path = run.drive / f"{run.name}.{max(archives, default=0) + 1:04d}.zip"
            local = Path(folder) / path.name
            _pack(run.folder, local)
            size = local.stat().st_size
            with replacing(path) as partial:
                shutil.copyfile(local, partial)
                if sha256(partial) != sha256(local):
                    raise OSError("the copy is not what was written")
    except (OSError, ValueError) as error:
        print(f"Not saved to Drive: {error.__cause__ or error}.")
    else:
        print(f"Saved to Drive: {path.name}, {size / 1e6:.1f} MB.")
        mine = [name for name in names if _run_of(name) == run.name]
        _remove([run.drive / name for name in mine if run.drive / name not in (path, earlier)])


def fetch_run(run) -> None:
    """Unpack the run's newest archive that is whole, if this machine has seen none so new.

    A damaged archive costs a line, and so does a Drive that cannot be read.

    Raises:
        ValueError: every archive is damaged and this machine has nothing either; or both hold
            work of their own; or an archive could do harm.
    """
    if run.drive is None:
        return
    try:
        archives = _archives(run.drive, os.listdir(run.drive))
    except OSError as error:
        print(f"Not fetched from Drive: {error}.")
        return
    if run.name not in archives:
        print(f"On Drive: no {run.name} yet; there is {', '.join(archives) or 'nothing'}.")
        return
    known = _known(run)
    for path in archives[run.name].values():
        if _id(path) in known:
            return
        try:
            _unpack(path, run)
        except (OSError, zipfile.BadZipFile) as error:
            print(f"{path.name} on Drive cannot be read ({error}).")
        else:
            print(f"Fetched from Drive: {path.name}.")
            return
    if not _holds_work(run.folder):
        raise ValueError(
            f"No archive of {run.name} on Drive can be read; move them away and run again."
        )


def _archives(folder, names) -> dict[str, dict[int, Path]]:
    """Of the names in a folder, every run's archives by their numbers, newest first."""
    found = {}
    for match in filter(None, map(ARCHIVE.fullmatch, names)):
        found.setdefault(match[1], {})[int(match[2])] = Path(folder) / match[0]
    return {name: dict(sorted(found[name].items(), reverse=True)) for name in sorted(found)}


def _earlier(run, archives, folder) -> Path | None:
    """The newest archive that is not damaged, which must be one that this machine has seen.

    Raises:
        OSError: an archive cannot be read.
        ValueError: another machine has saved since.
    """
    known = _known(run)
    for path in archives.values():
        if _id(path) in known:
            return path
        try:
            _harm(shutil.copyfile(path, Path(folder) / path.name))
        except zipfile.BadZipFile:
            continue  # nobody's work
        raise ValueError(
            f"another machine has saved {path.name} since; choose another RUN_NAME to keep both"
        )
    return None


def _run_of(name) -> str:
    """The run whose archive, or rest of a killed copy, has that name; "" of other files."""
    match = ARCHIVE.fullmatch(name) or LEFTOVER.fullmatch(name)
    return match[1] if match else ""


def _remove(paths) -> None:
    """Remove files from Drive; what cannot be removed costs one line in all."""
    failures = []
    for path in paths:
        try:
            path.write_bytes(b"")  # Drive counts what lies in its bin
            path.unlink()
        except OSError as error:
            failures.append(f"{path.name} ({error.strerror or error})")
    if failures:
        print(f"Not removed from Drive: {', '.join(failures)}.")


def _id(path) -> str:
    """The id of an archive; "" of what cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.comment.decode()
    except Exception:  # whoever gets no id reads the whole archive, and learns why
        return ""


def _known(run) -> list[str]:
    """The ids of the archives that this machine has read or written."""
    known = run.folder / KNOWN
    return known.read_text(encoding="utf-8").split() if known.is_file() else []


def _holds_work(folder) -> bool:
    return folder.exists() and any(folder.iterdir())


def _harm(path) -> str:
    """Why a local copy of an archive must not be unpacked beside where it lies, or "".

    Raises:
        zipfile.BadZipFile: it is damaged, or no archive of a run.
    """
    free = shutil.disk_usage(Path(path).parent).free
    unpacked = 0
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                name = info.orig_filename  # before Python adapts it to the system
                unpacked += info.file_size
                if leads_out(name):
                    return f"its entry {shown(name)!r} leads out of the run's folder"
                if stat.S_ISLNK(info.external_attr >> 16):
                    return f"its entry {shown(name)!r} is a link"
                if unpacked > free:
                    return f"with its entry {shown(name)!r} it is larger than the free space here"
            damaged = archive.testzip()
            if damaged or not ID.fullmatch(archive.comment):
                reason = f"{shown(damaged)} is damaged" if damaged else "it is no archive of a run"
                raise zipfile.BadZipFile(reason)
    except Exception as error:  # zipfile and zlib raise many kinds for a bad file
        raise zipfile.BadZipFile(str(error) or type(error).__name__) from error
    return ""


def _pack(folder, path) -> None:
    """Put a run's files into a zip with a new id, which the run's folder remembers.

    Left out are hidden files, executed notebooks, a replaced training, huge images and all
    checkpoints but the newest.
    """
    older = checkpoint_files(folder)[:-1]
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            parts = file.relative_to(folder).parts
            hidden = any(part.startswith(".") for part in parts)
            left_out = hidden or parts[0] in ("executed", REPLACED)
            huge = file.name == "images.npz" and file.stat().st_size > LARGEST
            if file.is_file() and not (left_out or huge or file in older):
                archive.write(file, "/".join(parts))
        archive.comment = uuid.uuid4().hex.encode()
    with open(folder / KNOWN, "a", encoding="utf-8") as file:
        file.write(_id(path) + "\n")


def _unpack(path, run) -> None:
    """Unpack beside the run's folder, then rename: the folder is whole or not there.

    Raises:
        zipfile.BadZipFile, OSError: the archive is damaged or cannot be read.
        ValueError: it could do harm, or the run's folder holds work, too.
    """
    run.folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=run.folder.parent, prefix=".partial") as beside:
        local = Path(beside) / path.name
        shutil.copyfile(path, local)
        if harm := _harm(local):
            raise ValueError(
                f"{path.name} on Drive is refused: {harm}; move it away and run again."
            )
        if _holds_work(run.folder):
            raise ValueError(
                f"{path.name} on Drive and {short(run.folder)} on this machine differ, "
                "and both hold work: choose another RUN_NAME, or move one of the two away."
            )
        folder = Path(beside) / "run"
        folder.mkdir()
        with zipfile.ZipFile(local) as archive:
            archive.extractall(folder)
        (folder / KNOWN).write_text(_id(local) + "\n", encoding="utf-8")
        if run.folder.exists():
            run.folder.rmdir()  # it is empty
        folder.rename(run.folder)
