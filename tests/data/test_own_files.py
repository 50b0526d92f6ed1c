"""Folders and zips that a learner brings, whole and broken; nothing of them is changed."""

import os
import shutil
import stat
import struct
import tracemalloc

import numpy as np
import pytest
from pictures import encode, noise, opened, refused, write, write_zip

from helpers.data.images import UnreadablePicture
from helpers.data.own_files import fingerprint

NAMES = ["Birds/1.png", "cats/2.png", "cats/deep/1.png", "dogs/1.png", "dogs/10.png"]
IMAGES = noise(5, 12)
ENTRIES = {name: encode(image) for name, image in zip(NAMES, IMAGES)}


def write_folder(top, entries=ENTRIES):
    for name, content in entries.items():
        write(top / name, content)
    return top


@pytest.mark.parametrize("kind", ["folder", "zip", "wrapped zip", "zip of Windows"])
def test_pictures_are_sorted_and_sub_folders_are_classes(kind, tmp_path):
    entries = ENTRIES | {".hidden.png": b"", "a.txt": b"", "__MACOSX/cats/._1.png": b""}
    prefix = "all/" if kind == "wrapped zip" else ""
    if kind == "folder":
        path = write_folder(tmp_path / "pets", entries)
    else:
        slash = "\\" if kind == "zip of Windows" else "/"
        entries = {(prefix + name).replace("/", slash): entries[name] for name in reversed(entries)}
        path = write_zip(tmp_path / "Pets.ZIP", entries)
    found = opened(path)
    assert found.names == [prefix + name for name in NAMES]
    assert found.class_names == ("Birds", "cats", "dogs")
    assert found.labels.tolist() == [0, 1, 1, 2, 2]
    for index, image in enumerate(IMAGES):
        np.testing.assert_array_equal(found.read(index), image)


@pytest.mark.parametrize("names", [["a.png", "b.png"], ["cats/1.png"], ["a.png", "cats/1.png"]])
def test_without_two_classes_there_are_no_labels(names, tmp_path):
    found = opened(write_folder(tmp_path / "own", dict.fromkeys(names, ENTRIES[NAMES[0]])))
    assert found.names == names and found.labels is None and found.class_names == ()


def test_background_reaches_folder_and_zip(tmp_path):
    glass = {"a.png": encode(np.zeros((12, 12, 4), np.uint8))}
    for path in (write_folder(tmp_path / "a", glass), write_zip(tmp_path / "a.zip", glass)):
        assert (opened(path, "blue").read(0) == (0, 0, 255)).all()
        refused(lambda path=path: opened(path, "nocolour"), "BACKGROUND is 'nocolour'")


def test_links_and_pipes(tmp_path):
    top = write_folder(tmp_path / "pets")
    try:
        (top / "cats" / "loop").symlink_to(top, target_is_directory=True)
        (top / "dogs" / "same").symlink_to(top / "cats", target_is_directory=True)
        (top / "owls").symlink_to(write_folder(tmp_path / "far", {"7.png": ENTRIES[NAMES[0]]}))
        (top / "dogs" / "nothing.png").symlink_to(top / "gone")
        os.mkfifo(top / "pipe.png")
    except (OSError, AttributeError):
        pytest.skip("this system makes no links or pipes")
    found = opened(top)
    assert found.names == sorted([*NAMES, "dogs/nothing.png", "owls/7.png"])
    assert found.class_names == ("Birds", "cats", "dogs", "owls")
    with pytest.raises(UnreadablePicture, match="cannot be opened"):
        found.read(found.names.index("dogs/nothing.png"))


def make_sources(top):
    np.savez(top / "a.npz", images=IMAGES)
    np.save(top / "a.npy", IMAGES)
    np.savetxt(top / "a.csv", IMAGES[..., 0].reshape(5, -1), fmt="%d", delimiter=",")
    paths = [top / "a.npz", top / "a.npy", top / "a.csv", write_zip(top / "a.zip", ENTRIES)]
    return [write_folder(top / "folder"), *paths]


def test_nothing_of_the_learner_is_changed(tmp_path):
    """Also where it may not be: all of it is read-only."""
    paths, everything = make_sources(tmp_path), list(tmp_path.rglob("*"))
    for path in everything:
        path.chmod(0o555 if path.is_dir() else stat.S_IREAD)
    before = [(p.stat().st_mtime_ns, p.is_file() and p.read_bytes()) for p in everything]
    try:
        for path in paths:
            for index in range(5):
                opened(path).read(index)[:] = 0
        after = [(p.stat().st_mtime_ns, p.is_file() and p.read_bytes()) for p in everything]
    finally:
        for path in everything:
            path.chmod(0o755 if path.is_dir() else 0o644)
    assert before == after and sorted(everything) == sorted(tmp_path.rglob("*"))


def test_fingerprint_is_that_of_a_copy_and_another_after_a_change(tmp_path):
    for path in make_sources(tmp_path):
        copy = tmp_path / "copy" / path.name
        copy.parent.mkdir(exist_ok=True)
        (shutil.copytree if path.is_dir() else shutil.copyfile)(path, copy)
        for file in [copy, *copy.rglob("*")]:
            os.utime(file, ns=(0, 10**18))
        assert fingerprint(copy) == fingerprint(path)
        found = {fingerprint(copy)}
        file = copy / NAMES[1] if copy.is_dir() else copy
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1  # of the same size
        for changed in (content, content + b"x"):
            file.write_bytes(changed)
            found.add(fingerprint(copy))
        if copy.is_dir():
            file.rename(file.with_name("3.png"))
            found.add(fingerprint(copy))
        assert len(found) == 3 + copy.is_dir()


# Broken and hostile ones

CENTRAL, LOCAL = b"PK\x01\x02", b"PK\x03\x04"


def patched(path, signature, offset, form, value):
    """Overwrite a field of every record with that signature, as a forger would."""
    content = bytearray(path.read_bytes())
    position = content.find(signature)
    while position >= 0:
        struct.pack_into(form, content, position + offset, value)
        position = content.find(signature, position + 4)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("a.rar", b"Rar!", ["no kind of file", ".zip, .csv, .npz or .npy"]),
        ("cat.JPG", b"", ["single picture", "folder"]),
        ("a.zip", b"text\n" * 99, ["not a zip file"]),
        ("a.zip", b"", ["not a zip file"]),
        ("own/a.txt", b"x", ["own holds no pictures", ".jpg"]),
        ("own/.b/a.png", ENTRIES[NAMES[0]], ["own holds no pictures"]),
    ],
)
def test_what_holds_no_pictures_is_refused(name, content, parts, tmp_path):
    write(tmp_path / name, content)
    refused(lambda: opened(tmp_path / name.split("/")[0]), *parts)


@pytest.mark.parametrize("name", ["/etc/a.png", "x/../../a.png", "C:/b/a.png", "..\\a.png"])
def test_a_name_in_a_zip_that_leads_out_is_only_a_name(name, tmp_path):
    """Nothing is ever unpacked."""
    found = opened(write_zip(tmp_path / "a.zip", {name: ENTRIES[NAMES[0]]}))
    assert found.names[0].endswith("a.png") and ".." not in found.names[0]
    np.testing.assert_array_equal(found.read(0), IMAGES[0])


def test_zips_that_are_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", ENTRIES)
    path.write_bytes(path.read_bytes()[:-1])
    refused(lambda: opened(path), "a.zip", "truncated", "again")
    write_zip(path, {"a.txt": b""})
    refused(lambda: opened(path), "a.zip holds no pictures")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ([(CENTRAL, 8, "<H", 1), (LOCAL, 6, "<H", 1)], "needs a password"),
        ([(CENTRAL, 10, "<H", 9), (LOCAL, 8, "<H", 9)], "compressed in a way"),
    ],
)
def test_entries_of_a_zip_that_cannot_be_read_say_why(changes, reason, tmp_path):
    path = write_zip(tmp_path / "a.zip", ENTRIES)
    for change in changes:
        patched(path, *change)
    with pytest.raises(UnreadablePicture, match=reason):
        opened(path).read(0)


def test_a_damaged_member_spoils_no_other(tmp_path):
    for signature, offset, form, value in (
        (CENTRAL, 24, "<I", 50),  # declares less than it holds
        (CENTRAL, 16, "<I", 1),  # another checksum
        (LOCAL, 30, "<I", 1),  # another name
        (CENTRAL, 42, "<I", 7),  # another place
    ):
        path = write_zip(tmp_path / "a.zip", {"a.png": ENTRIES[NAMES[0]]})
        patched(path, signature, offset, form, value)
        with pytest.raises(UnreadablePicture, match="damaged inside the zip"):
            opened(path).read(0)
    path = write_zip(tmp_path / "a.zip", {"a.png": b"text" * 9, "b.png": ENTRIES[NAMES[1]]})
    with pytest.raises(UnreadablePicture, match="not an image"):
        opened(path).read(0)
    np.testing.assert_array_equal(opened(path).read(1), IMAGES[1])


def test_a_zip_bomb_fills_no_memory(tmp_path):
    """100 MB of zeros that are declared as 90 bytes."""
    path = write_zip(tmp_path / "a.zip", {"a.png": bytes(100_000_000)})
    patched(path, CENTRAL, 24, "<I", 90)
    found = opened(path)
    tracemalloc.start()
    with pytest.raises(UnreadablePicture):
        found.read(0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000
