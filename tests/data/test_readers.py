"""What a learner brings: folders, zips, CSV and NumPy files, whole and broken."""

import io
import os
import shutil
import stat
import struct
import tracemalloc
import warnings
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from helpers import collection, readers
from helpers.machine import ROOT
from helpers.data.own_files import (
    UnreadablePicture,
    fingerprint,
    open_path,
    read_arrays,
    read_csv,
    read_folder,
    read_zip,
)

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def noise(seed=0, height=12, width=10, channels=3):
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def square(colour=RED, mode="RGB", size=(10, 12)):
    return Image.new(mode, size, colour)


def encode(picture, form="PNG", **options):
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def write_folder(top, names, form="PNG"):
    for seed, name in enumerate(names):
        write(top / name, encode(Image.fromarray(noise(seed)), form))
    return top


def write_zip(path, entries, method=zipfile.ZIP_DEFLATED):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in entries.items():
            info = zipfile.ZipInfo()
            info.filename, info.compress_type = name, method  # no clean-up of the name
            archive.writestr(info, content)
    return path


def write_csv(path, rows, header=None):
    lines = [",".join(map(str, row)) for row in rows]
    path.write_text("\n".join([*([header] if header else []), *lines]) + "\n", encoding="utf-8")
    return path


def read_one(tmp_path, content, name="one.png", **options):
    write(tmp_path / "one" / name, content)
    found = read_folder(tmp_path / "one", **options)
    assert found.names == [name]
    pixels = found.read(0)
    assert pixels.dtype == np.uint8 and pixels.flags["C_CONTIGUOUS"] and pixels.flags["WRITEABLE"]
    return pixels


# Decoding.


@pytest.mark.parametrize(
    ("form", "name", "tolerance"),
    [
        ("PNG", "a.png", 0), ("BMP", "a.bmp", 0), ("GIF", "a.gif", 0), ("JPEG", "a.jpg", 3),
        ("JPEG", "a.jpeg", 3), ("WEBP", "a.webp", 3), ("PNG", "A.PNG", 0), ("JPEG", "A.Jpg", 3),
        ("JPEG", "not.png", 3), ("PNG", "not.jpg", 0), ("WEBP", "not.gif", 3),
    ],
)  # fmt: skip
def test_a_red_square_stays_red(form, name, tolerance, tmp_path):
    pixels = read_one(tmp_path, encode(square(), form), name)
    assert pixels.shape == (12, 10, 3)
    assert np.abs(pixels.astype(int) - RED).max() <= tolerance


@pytest.mark.parametrize(("form", "name"), [("PNG", "a.png"), ("BMP", "a.bmp")])
@pytest.mark.parametrize("channels", [1, 3])
def test_lossless_pixels_come_back(form, name, channels, tmp_path):
    expected = noise(channels=channels)
    pixels = read_one(tmp_path, encode(Image.fromarray(expected), form), name)
    np.testing.assert_array_equal(pixels, expected.reshape(12, 10, channels))


def test_gray_jpeg_has_one_channel_and_gray_looking_rgb_three(tmp_path):
    pixels = read_one(tmp_path, encode(square(90, "L"), "JPEG"), "a.jpg")
    assert pixels.shape == (12, 10, 1) and np.abs(pixels.astype(int) - 90).max() <= 1
    pixels = read_one(tmp_path / "rgb", encode(square((90, 90, 90))))
    assert pixels.shape == (12, 10, 3) and np.all(pixels == 90)


def half_clear(mode):
    """Opaque left, clear right; green, or gray 77."""
    colour = (77, 255) if mode == "LA" else (*GREEN, 255)
    picture = square(colour, mode)
    picture.paste((0, 0) if mode == "LA" else (0, 0, 0, 0), (5, 0, 10, 12))
    return picture


@pytest.mark.parametrize(
    ("background", "expected"),
    [("white", (255,) * 3), ("black", (0,) * 3), ("#102030", (16, 32, 48)), ("Navy", (0, 0, 128))],
)
@pytest.mark.parametrize(
    ("form", "mode"), [("PNG", "RGBA"), ("WEBP", "RGBA"), ("PNG", "P"), ("GIF", "P"), ("PNG", "LA")]
)
def test_transparency_is_laid_on_the_background(form, mode, background, expected, tmp_path):
    options = {"lossless": True} if form == "WEBP" else {}
    picture = half_clear("LA" if mode == "LA" else "RGBA")
    if (form, mode) == ("PNG", "P"):  # Pillow makes a palette for a GIF by itself
        picture = picture.quantize(4)
    pixels = read_one(tmp_path, encode(picture, form, **options), background=background)
    gray = mode == "LA" and len(set(expected)) == 1
    assert pixels.shape == (12, 10, 1 if gray else 3)
    left, right = ((77,) * 3 if mode == "LA" else GREEN), expected
    assert np.all(pixels[:, :5] == left[: pixels.shape[-1]])
    assert np.all(pixels[:, 5:] == right[: pixels.shape[-1]])


@pytest.mark.parametrize(("mode", "clear"), [("RGB", GREEN), ("L", 7), ("P", 0)])
def test_one_transparent_colour(mode, clear, tmp_path):
    """A PNG without an alpha channel that declares one colour to be clear."""
    picture = square({"RGB": RED, "L": 99, "P": 1}[mode], mode)
    if mode == "P":
        picture.putpalette([*GREEN, *RED])
    picture.paste(clear, (5, 0, 10, 12))
    pixels = read_one(tmp_path, encode(picture, transparency=clear), background="white")
    assert np.all(pixels[:, 5:] == 255)
    assert np.all(pixels[:, :5] == ((99,) if mode == "L" else RED))


def test_half_transparent_is_mixed(tmp_path):
    pixels = read_one(tmp_path, encode(square((255, 0, 0, 128), "RGBA")), background="black")
    assert np.abs(pixels.astype(int) - (128, 0, 0)).max() <= 1


def test_palette_without_transparency(tmp_path):
    assert np.all(read_one(tmp_path, encode(square().quantize(4))) == RED)


def test_one_bit(tmp_path):
    picture = square(0, "1")
    picture.paste(1, (0, 0, 5, 12))
    pixels = read_one(tmp_path, encode(picture))
    assert pixels.shape == (12, 10, 1)
    assert np.all(pixels[:, :5] == 255) and np.all(pixels[:, 5:] == 0)


@pytest.mark.parametrize("old_pillow", [False, True], ids=["I;16", "I"])
def test_sixteen_bit_gray_is_scaled_not_clipped(old_pillow, tmp_path, monkeypatch):
    values = np.zeros((12, 10), np.uint16)
    values[0, :6] = (65535, 257, 32896, 256, 128, 300)
    if old_pillow:  # there, a 16-bit PNG opens as 32-bit integers
        picture = Image.fromarray(values.astype(np.int32))
        assert picture.mode == "I"
        pixels = collection._pixels(picture, (255, 255, 255))
    else:
        pixels = read_one(tmp_path, encode(Image.fromarray(values)))
    assert pixels.shape == (12, 10, 1) and pixels.dtype == np.uint8
    assert pixels[0, :6, 0].tolist() == [255, 1, 128, 1, 0, 1] and np.all(pixels[1:] == 0)


def test_cmyk(tmp_path):
    content = encode(square((0, 255, 255, 0), "CMYK"), "JPEG", quality=100)
    pixels = read_one(tmp_path, content, "a.jpg")
    assert pixels.shape == (12, 10, 3) and np.abs(pixels.astype(int) - RED).max() <= 3


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        (1, lambda x: x),
        (2, lambda x: x[:, ::-1]),
        (3, lambda x: x[::-1, ::-1]),
        (6, lambda x: np.rot90(x, -1)),
        (8, np.rot90),
    ],
)
@pytest.mark.parametrize("form", ["PNG", "WEBP", "JPEG"])
def test_exif_orientation(form, orientation, turned, tmp_path):
    picture = square(BLUE, size=(48, 32))
    picture.paste(RED, (0, 0, 16, 16))  # a red corner, top left
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = read_one(tmp_path, encode(picture, form, exif=exif))
    expected = turned(np.asarray(picture))
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected).mean() < 6


def test_damaged_exif_turns_nothing(tmp_path):
    content = encode(square(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixels = read_one(tmp_path, content)
    assert pixels.shape == (12, 10, 3)


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP"])
def test_first_frame_of_an_animation(form, tmp_path):
    frames = [square(GREEN), square(BLUE)]
    options = {"lossless": True} if form == "WEBP" else {}
    content = encode(square(), form, save_all=True, append_images=frames, **options)
    assert Image.open(io.BytesIO(content)).n_frames == 3
    assert np.all(read_one(tmp_path, content) == RED)


def png_header(width, height):
    """A PNG that claims a size and holds next to nothing."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", b"x")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


@pytest.mark.parametrize("size", [(10_001, 10_000), (60_000, 60_000)])
@pytest.mark.parametrize("limit", [Image.MAX_IMAGE_PIXELS, None], ids=["Pillow's limit", "none"])
def test_absurd_size_is_refused_before_decoding(size, limit, tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    write(tmp_path / "bomb.png", png_header(*size))
    found, filters = read_folder(tmp_path), list(warnings.filters)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(ValueError, match=r"^bomb\.png claims more than 100 million pixels"):
            found.read(0)
    assert not caught and warnings.filters == filters
    assert limit == Image.MAX_IMAGE_PIXELS and not ImageFile.LOAD_TRUNCATED_IMAGES


def test_a_hundred_million_pixels_are_decoded_without_a_warning(tmp_path):
    """Above Pillow's own limit of 89 million; this one then turns out to be damaged."""
    write(tmp_path / "large.png", png_header(10_000, 10_000))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UnreadablePicture, match=r"truncated|damaged"):
            read_folder(tmp_path).read(0)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "GIF"])
def test_truncated_pictures_are_unreadable(form, share, tmp_path):
    content = encode(Image.fromarray(noise(height=64, width=64)), form)
    assert read_one(tmp_path, content).shape == (64, 64, 3)
    with pytest.raises(UnreadablePicture, match="truncated"):
        read_one(tmp_path, content[: int(share * len(content))])


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "GIF"])
def test_flipped_bits_give_pixels_or_unreadable_and_nothing_else(form):
    random = np.random.default_rng(0)
    whole = encode(Image.fromarray(noise(height=32, width=32)), form)
    outcomes = set()
    for _ in range(150):
        spoiled = bytearray(whole)
        for position in random.integers(0, min(len(whole), 800), 3):
            spoiled[position] ^= 1 << int(random.integers(8))
        try:
            pixels = collection.decode(bytes(spoiled), "a.png", RED)
            assert pixels.dtype == np.uint8 and pixels.shape[-1] in (1, 3)
            outcomes.add("read")
        except UnreadablePicture as error:
            assert 0 < len(str(error)) < 60 and "\n" not in str(error)
            outcomes.add("unreadable")
        except ValueError as error:
            assert "million pixels" in str(error)
    assert "unreadable" in outcomes


# Folders and zips.

NAMES = ["cats/2.png", "cats/deep/1.png", "dogs/1.png", "dogs/10.png", "Birds/1.png"]


def test_folder_is_sorted_and_labelled(tmp_path):
    top = write_folder(tmp_path / "pets", NAMES)
    for ignored in (".hidden.png", ".ipynb_checkpoints/a.png", "__MACOSX/cats/._1.png", "a.txt"):
        write(top / ignored, b"not a picture")
    (top / "empty").mkdir()
    found = read_folder(top)
    assert found.names == sorted(NAMES)
    assert found.class_names == ("Birds", "cats", "dogs")
    assert found.labels.dtype == np.int64 and found.labels.tolist() == [0, 1, 1, 2, 2]
    for index, name in enumerate(found.names):
        np.testing.assert_array_equal(found.read(index), noise(NAMES.index(name)))
    assert open_path(str(top)).names == found.names


@pytest.mark.parametrize(
    "names", [["a.png", "b.png"], ["a.png", "cats/1.png", "dogs/1.png"], ["cats/1.png"]]
)
def test_folder_without_classes(names, tmp_path):
    found = read_folder(write_folder(tmp_path / "own", names))
    assert found.labels is None and found.class_names == () and found.names == sorted(names)


def test_links(tmp_path):
    top = write_folder(tmp_path / "pets", NAMES)
    try:
        (top / "cats" / "loop").symlink_to(top, target_is_directory=True)
        (top / "dogs" / "nothing.png").symlink_to(top / "gone")
    except OSError:
        pytest.skip("this system makes no links")
    found = read_folder(top)
    assert found.names == sorted([*NAMES, "dogs/nothing.png"])
    with pytest.raises(UnreadablePicture, match="cannot be opened"):
        found.read(found.names.index("dogs/nothing.png"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_a_pipe_is_no_picture(tmp_path):
    write_folder(tmp_path, ["a.png"])
    os.mkfifo(tmp_path / "b.png")
    assert read_folder(tmp_path).names == ["a.png"]


def test_a_folder_that_cannot_be_opened_is_not_passed_over(tmp_path, monkeypatch):
    write_folder(tmp_path, ["a.png", "locked/b.png"])
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert_clear(lambda: read_folder(tmp_path), PermissionError, ["locked", "denied"], tmp_path)


@pytest.mark.parametrize("wrapper", ["", "archive/"])
def test_zip_reads_as_the_folder(wrapper, tmp_path):
    top = write_folder(tmp_path / "pets", NAMES)
    entries = {f"{wrapper}{name}": (top / name).read_bytes() for name in NAMES}
    extra = {
        "__MACOSX/._a.png": b"",
        f"{wrapper}cats/": b"",
        f"{wrapper}.DS_Store": b"",
        "a.txt": b"",
    }
    path = write_zip(tmp_path / "Pets.ZIP", extra | entries)
    found, folder = open_path(path), read_folder(top)
    assert found.names == [wrapper + name for name in folder.names]
    assert found.class_names == folder.class_names
    np.testing.assert_array_equal(found.labels, folder.labels)
    for index in range(len(NAMES)):
        np.testing.assert_array_equal(found.read(index), folder.read(index))


def test_zip_background_and_exif_are_those_of_decode(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a.png": encode(half_clear("RGBA"))})
    assert np.all(read_zip(path, background="blue").read(0)[:, 5:] == BLUE)


def test_zip_from_eight_threads(tmp_path):
    names = [f"{'ab'[i % 2]}/{i:03}.png" for i in range(60)]
    entries = {
        name: encode(Image.fromarray(noise(i, 40, 40)), "PNG" if i % 3 else "JPEG")
        for i, name in enumerate(names)
    }
    found, filters = read_zip(write_zip(tmp_path / "a.zip", entries)), list(warnings.filters)
    serially = [found.read(index) for index in range(60)]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(found.read, list(range(60)) * 3))
    assert len(together) == 180
    for index, pixels in enumerate(together):
        np.testing.assert_array_equal(pixels, serially[index % 60])
    assert warnings.filters == filters


def test_one_damaged_member_spoils_no_other(tmp_path):
    path = write_zip(tmp_path / "a.zip", picture_entries(), zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(picture_entries()["b.png"][60:70], b"0123456789"))
    found = read_zip(path)
    with pytest.raises(UnreadablePicture, match="damaged inside the zip"):
        found.read(1)
    np.testing.assert_array_equal(found.read(0), noise(0))


# Tables and arrays.


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("layout", ["Label first", "class last", "header", "plain", "label only"])
def test_csv(layout, quote, bom, ending, tmp_path):
    images = noise(0, 5, 64, 1)
    labels = np.array([7, 3, 3, 12, 7])
    rows = images.tolist()
    names = [f"pixel{i}" for i in range(64)]
    if layout in ("Label first", "label only"):
        rows, names = [[label, *row] for label, row in zip(labels, rows)], ["Label", *names]
    elif layout == "class last":
        rows, names = [[*row, label] for label, row in zip(labels, rows)], [*names, "class"]
    if layout in ("plain", "label only"):
        lines = []
    else:
        lines = [",".join(quote + name + quote for name in names)]
    lines += [",".join(f"{quote}{value}{quote}" for value in row) for row in rows]
    path = write(tmp_path / "a.csv", bom + ending.join([*lines, "", ""]).encode())
    found = open_path(path)
    assert list(found.names) == [f"row {i}" for i in range(1, 6)]
    for index in range(5):
        np.testing.assert_array_equal(found.read(index), images[index].reshape(8, 8, 1))
    if layout in ("plain", "header"):
        assert found.labels is None and found.class_names == ()
    else:
        assert found.labels.dtype == np.int64 and found.labels.tolist() == [1, 0, 0, 2, 1]
        assert found.class_names == ("3", "7", "12")


def test_csv_of_several_blocks_names_the_right_line(tmp_path, monkeypatch):
    monkeypatch.setattr("helpers.data.tables._BLOCK", 1000)
    images = noise(0, 50, 64, 1)
    path = write_csv(tmp_path / "a.csv", images.tolist())
    found = read_csv(path)
    assert len(found.names) == 50
    np.testing.assert_array_equal(found.read(49).ravel(), images[49])
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[43] = lines[43].replace(",", ",x", 1)
    lines[2:2] = ["", "  "]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert_clear(lambda: read_csv(path), ValueError, ["line 46, column 2"], tmp_path)


def test_csv_takes_whole_numbers_with_a_point(tmp_path):
    assert np.all(read_csv(write_csv(tmp_path / "a.csv", [[7.0] * 64])).read(0) == 7)


@pytest.mark.parametrize("shape", [(5, 9, 8), (5, 9, 8, 1), (5, 9, 8, 3)])
@pytest.mark.parametrize("ending", [".npy", ".npz"])
def test_arrays(ending, shape, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path / f"a{ending}"
    (np.save if ending == ".npy" else np.savez)(path, images)  # the latter as arr_0
    found = open_path(path)
    assert list(found.names) == [f"row {i}" for i in range(1, 6)] and found.labels is None
    for index in range(5):
        pixels = found.read(index)
        assert type(pixels) is np.ndarray and pixels.flags["WRITEABLE"]
        assert not np.shares_memory(pixels, found.read(index))
        np.testing.assert_array_equal(pixels, images[index].reshape(9, 8, -1))


@pytest.mark.parametrize("images_key", ["images", "x", "X_train", "train_images"])
@pytest.mark.parametrize("labels_key", ["labels", "y", "y_train", "train_labels"])
def test_npz_with_labels(images_key, labels_key, tmp_path):
    labels = np.array([[4], [2], [4]], np.uint8)
    arrays = {images_key: np.zeros((3, 8, 8), np.uint8), labels_key: labels, "x_test": labels}
    np.savez(tmp_path / "a.npz", **arrays)
    found = read_arrays(tmp_path / "a.npz")
    assert found.labels.dtype == np.int64 and found.labels.tolist() == [1, 0, 1]
    assert found.class_names == ("2", "4")
    np.savez(tmp_path / "a.npz", **(arrays | {labels_key: np.array(["b", "a", "b"])}))
    assert read_arrays(tmp_path / "a.npz").class_names == ("a", "b")


def test_npy_is_not_loaded_as_a_whole(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", np.zeros((3, 8, 8), np.uint8))
    opened = []
    load = np.load
    monkeypatch.setattr(np, "load", lambda *a, **k: opened.append(load(*a, **k)) or opened[-1])
    found = read_arrays(tmp_path / "a.npy")
    assert type(opened[0]) is np.memmap and not opened[0].flags.writeable
    found.read(0)[:] = 9  # the learner's file stays as it is
    assert np.all(load(tmp_path / "a.npy") == 0)


# The same for all sources.


def picture_entries():
    return {name: encode(Image.fromarray(noise(i))) for i, name in enumerate(("a.png", "b.png"))}


def make_sources(tmp_path):
    write_folder(tmp_path / "folder", NAMES)
    write_zip(tmp_path / "a.zip", picture_entries())
    write_csv(tmp_path / "a.csv", noise(0, 4, 64, 1).tolist())
    np.savez(tmp_path / "a.npz", images=noise(0, 8, 8, 3)[None])
    np.save(tmp_path / "a.npy", noise(0, 8, 8, 3)[None])
    return [tmp_path / name for name in ("folder", "a.zip", "a.csv", "a.npz", "a.npy")]


def state(top):
    return {
        str(path): (path.stat().st_mtime_ns, path.is_file() and path.read_bytes())
        for path in [top, *sorted(top.rglob("*"))]
    }


def test_nothing_of_the_learner_is_changed(tmp_path):
    """Also where it may not be: all of it is read-only."""
    paths = make_sources(tmp_path)
    everything = list(tmp_path.rglob("*"))
    for path in everything:
        path.chmod(0o555 if path.is_dir() else stat.S_IREAD)
    before = state(tmp_path)
    try:
        for path in paths:
            found = open_path(path)
            for index in range(len(found.names)):
                found.read(index)[:] = 0
        assert state(tmp_path) == before
    finally:
        for path in everything:
            path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.mark.parametrize("number", range(5), ids=["folder", "zip", "csv", "npz", "npy"])
def test_fingerprint_changes_with_the_files(number, tmp_path):
    path = make_sources(tmp_path)[number]
    first = open_path(path).fingerprint
    assert first == open_path(path).fingerprint and int(first, 16)
    file = path / "cats" / "2.png" if path.is_dir() else path
    content = bytearray(file.read_bytes())
    content[-1 if path.suffix == ".npy" else 40] ^= 1
    status = file.stat()
    if path.is_dir():
        file.write_bytes(content + b"x")
    elif path.suffix not in (".npz", ".zip", ".csv"):  # those a byte would make unreadable
        file.write_bytes(content)
    elif path.suffix == ".csv":
        file.write_bytes(file.read_bytes() + b"\n")
    else:
        with zipfile.ZipFile(file, "a") as archive:
            archive.comment = b"x"
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))
    changed = open_path(path).fingerprint
    assert changed != first
    if path.is_dir():
        file.rename(file.with_name("3.png"))
        assert open_path(path).fingerprint not in (first, changed)


@pytest.mark.parametrize("number", range(5), ids=["folder", "zip", "csv", "npz", "npy"])
def test_fingerprint_is_that_of_a_copy_and_needs_no_picture(number, tmp_path, monkeypatch):
    path = make_sources(tmp_path)[number]
    first = open_path(path).fingerprint
    copy = tmp_path / "elsewhere" / path.name
    copy.parent.mkdir()
    (shutil.copytree if path.is_dir() else shutil.copyfile)(path, copy)
    for file in [copy, *copy.rglob("*")]:
        os.utime(file, ns=(0, 10**18))
    monkeypatch.setattr(readers, "decode", None)
    monkeypatch.setattr(np, "load", None)
    assert fingerprint(copy) == fingerprint(path) == first


def test_fingerprint_of_a_large_file_is_that_of_its_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(collection, "_HASHED", 10)
    monkeypatch.setattr(collection, "_END", 20)
    path = tmp_path / "a.bin"
    found = []
    for content in (b"a" * 100, b"b" + b"a" * 99, b"a" * 99 + b"b", b"a" * 101):
        path.write_bytes(content)
        found.append(fingerprint(path))
    assert len(set(found)) == 4


@pytest.mark.parametrize("background", ["nocolour", "#12", "", None, 7, "x" * 500])
def test_unknown_background(background, tmp_path):
    paths = make_sources(tmp_path)
    for path in paths[:2]:
        action = lambda path=path: open_path(path, background=background)  # noqa: E731
        assert_clear(action, ValueError, ["background", "'white'", "#ffffff"], tmp_path)


# Bad input: one sentence each.


def assert_clear(action, kind, parts, tmp_path):
    with pytest.raises(kind) as caught:
        action()
    message = str(caught.value)
    assert "\n" not in message and len(message) < 300, message
    assert message[0] != "[" and message.endswith("."), message
    assert str(tmp_path) not in message and str(ROOT) not in message, message
    assert str(tmp_path.parent) not in message and "BytesIO" not in message, message
    for part in parts:
        assert part in message, f"{part!r} is not in {message!r}"


def patched(path, signature, offset, form, value):
    """Overwrite a field of every record with that signature, as a forger would."""
    content = bytearray(path.read_bytes())
    position = content.find(signature)
    while position >= 0:
        struct.pack_into(form, content, position + offset, value)
        position = content.find(signature, position + 4)
    path.write_bytes(content)
    return path


CENTRAL, LOCAL = b"PK\x01\x02", b"PK\x03\x04"


def zip_of(name):
    return lambda top: write_zip(top / "a.zip", {name: encode(square())})


def damaged_zip(change):
    def make(top):
        path = write_zip(top / "a.zip", picture_entries())
        return write(path, change(path.read_bytes()))

    return make


def encrypted_zip(top):
    path = write_zip(top / "a.zip", picture_entries())
    return patched(patched(path, CENTRAL, 8, "<H", 1), LOCAL, 6, "<H", 1)


def oversized_zip(top):
    return patched(write_zip(top / "a.zip", picture_entries()), CENTRAL, 24, "<I", 300_000_000)


def huge_zip(top):
    entries = {f"{i:03}.png": b"" for i in range(300)}
    return patched(write_zip(top / "a.zip", entries), CENTRAL, 24, "<I", 199_000_000)


def csv_of(*rows, header=None):
    return lambda top: write_csv(top / "a.csv", rows, header)


def bytes_of(content, name):
    return lambda top: write(top / name, content)


def npz_of(**arrays):
    def make(top):
        np.savez(top / "a.npz", **arrays)
        return top / "a.npz"

    return make


def npy_of(array):
    def make(top):
        np.save(top / "a.npy", array)
        return top / "a.npy"

    return make


def cut_npy(top):
    path = npy_of(IMAGES)(top)
    return write(path, path.read_bytes()[:-9])


def renamed(maker, name):
    return lambda top: maker(top).rename(top / name)


def folder_named(name):
    return lambda top: write_folder(top / name, ["a.png"])


OKAY, HEADER = [0] * 64, "label," + ",".join(f"pixel{i}" for i in range(1, 65))
IMAGES = np.zeros((3, 8, 8), np.uint8)

BAD = {
    "no such folder": (lambda top: top / "gone", FileNotFoundError, ["gone", "does not exist"]),
    "no such zip": (lambda top: top / "gone.zip", FileNotFoundError, ["gone.zip"]),
    "empty path": (lambda top: "", FileNotFoundError, ["path is empty"]),
    "NUL in path": (lambda top: f"{top}/a\0b", FileNotFoundError, ["a?b", "does not exist"]),
    "newline in path": (lambda top: f"{top}/a\nb", FileNotFoundError, ["a?b"]),
    "endless path": (lambda top: top / ("x" * 5000), FileNotFoundError, ["…x", "not exist"]),
    "other ending": (bytes_of(b"Rar!", "a.rar"), ValueError, ["a.rar", ".zip, .csv, .npz or .npy"]),
    "no ending": (bytes_of(b"", "data"), ValueError, ["data", "give a folder"]),
    "one picture": (bytes_of(b"", "cat.JPG"), ValueError, ["cat.JPG", "single picture"]),
    "folder .zip": (folder_named("a.zip"), ValueError, ["a.zip is a folder", "give the file"]),
    "folder .csv": (folder_named("a.csv"), ValueError, ["a.csv is a folder"]),
    "folder .npy": (folder_named("a.npy"), ValueError, ["a.npy is a folder"]),
    "empty folder": (lambda top: top, ValueError, ["no pictures", ".jpg", ".gif"]),
    "folder of texts": (
        lambda top: write(top / "own" / "a.txt", b"x").parent, ValueError, ["own holds no pictures"]
    ),
    "hidden pictures": (
        lambda top: write_folder(top / "own", [".a.png", ".b/a.png", "__MACOSX/a.png"]),
        ValueError, ["own holds no pictures"],
    ),
    "zip of text": (bytes_of(b"text\n" * 99, "a.zip"), ValueError, ["a.zip is not a zip"]),
    "zip, empty file": (bytes_of(b"", "a.zip"), ValueError, ["a.zip is not a zip", "again"]),
    "zip cut": (damaged_zip(lambda x: x[: len(x) // 2]), ValueError, ["truncated", "again"]),
    "zip less a byte": (damaged_zip(lambda x: x[:-1]), ValueError, ["truncated"]),
    "zip without pictures": (zip_of("a.txt"), ValueError, ["a.zip holds no pictures"]),
    "zip with /": (zip_of("/etc/a.png"), ValueError, ["a.zip", "'/etc/a.png'", "lead out"]),
    "zip with ..": (zip_of("x/../../a.png"), ValueError, ["'x/../../a.png'", "lead out"]),
    "zip with .. text": (zip_of("../a.txt"), ValueError, ["'../a.txt'", "lead out"]),
    "zip with drive": (zip_of("C:/a.png"), ValueError, ["'C:/a.png'", "lead out"]),
    "zip with ..\\": (zip_of("..\\a.png"), ValueError, ["..", "a.png", "lead out"]),
    "zip with \\": (zip_of("\\\\server\\a.png"), ValueError, ["server", "lead out"]),
    "zip with a long name": (zip_of("../" + "x" * 3000), ValueError, ["…x", "lead out"]),
    "zip with newline": (zip_of("../a\nb.png"), ValueError, ["../a?b.png"]),
    "zip encrypted": (encrypted_zip, ValueError, ["encrypted", "'a.png'", "without a password"]),
    "zip of 300 MB": (oversized_zip, ValueError, ["'a.png'", "300 MB", "at most 200 MB"]),
    "zip of 60 GB": (huge_zip, ValueError, ["60 GB", "at most 50 GB"]),
    "csv empty": (bytes_of(b"", "a.csv"), ValueError, ["a.csv is empty"]),
    "csv blank": (bytes_of(b"\n \n\n", "a.csv"), ValueError, ["a.csv is empty"]),
    "csv header only": (csv_of(header=HEADER), ValueError, ["header and no rows"]),
    "csv short row": (csv_of(OKAY, OKAY[1:]), ValueError, ["63 columns in line 2", "64 before"]),
    "csv long row": (csv_of(OKAY, [*OKAY, 1], OKAY), ValueError, ["65 columns in line 2"]),
    "csv rows unlike header": (csv_of(OKAY, header=HEADER), ValueError, ["64 columns in line 2"]),
    "csv text": (csv_of(OKAY, ["x", *OKAY[1:]]), ValueError, ["'x'", "line 2, column 1"]),
    "csv text in line 1": (csv_of(["x", *OKAY[1:]], OKAY), ValueError, ["'x'", "line 1, column 1"]),
    "csv empty field": (csv_of(OKAY, [*OKAY[1:], ""]), ValueError, ["''", "line 2, column 64"]),
    "csv nan": (csv_of(OKAY, [*OKAY[1:], "nan"]), ValueError, ["'nan'", "line 2, column 64"]),
    "csv infinite": (csv_of(OKAY, [*OKAY[1:], "inf"]), ValueError, ["'inf'", "line 2"]),
    "csv 256": (csv_of(OKAY, OKAY, [256, *OKAY[1:]]), ValueError, ["256 in line 3, column 1"]),
    "csv -1": (csv_of(OKAY, [*OKAY[1:], -1]), ValueError, ["-1 in line 2, column 64", "0 to 255"]),
    "csv 0.5": (csv_of(OKAY, [*OKAY[1:], 0.5]), ValueError, ["0.5 in line 2", "whole"]),
    "csv long text": (csv_of(OKAY, ["x" * 4000, *OKAY[1:]]), ValueError, ["line 2, column 1"]),
    "csv after header": (csv_of([1, *OKAY], [1, 300, *OKAY[1:]], header=HEADER), ValueError,
                         ["300 in line 3, column 2"]),
    "csv no square": (csv_of([0] * 67), ValueError, ["67 pixel columns in line 1", "no square"]),
    "csv no square, header": (csv_of([1] * 66, header=HEADER + ",x"), ValueError,
                              ["65 pixel columns", "square"]),
    "csv colour": (csv_of([0] * 192), ValueError, ["192", "8x8 in colour", "gray only", ".npz"]),
    "csv colour, label": (csv_of([0] * 193), ValueError, ["192", "8x8 in colour"]),
    "csv small": (csv_of([0] * 16), ValueError, ["4x4", "8x8"]),
    "csv label 0.5": (csv_of([0.5, *OKAY]), ValueError, ["0.5 in line 1, column 1", "label"]),
    "csv label -1": (csv_of([-1, *OKAY], header=HEADER), ValueError, ["-1 in line 2", "label"]),
    "csv label inf": (csv_of(["inf", *OKAY]), ValueError, ["'inf'", "line 1, column 1"]),
    "csv label text": (csv_of(["cat", *OKAY], header=HEADER), ValueError, ["'cat'", "line 2"]),
    "csv two labels": (csv_of([1] * 66, header=HEADER + ",class"), ValueError, ["two label"]),
    "csv semicolons": (bytes_of(b"1;2;3\n", "a.csv"), ValueError, ["one column", "commas"]),
    "csv UTF-16": (bytes_of("1,2\n".encode("utf-16"), "a.csv"), ValueError, ["UTF-8"]),
    "csv binary": (bytes_of(encode(square()), "a.csv"), ValueError, ["UTF-8"]),
    "csv of NULs": (bytes_of(bytes(500), "a.csv"), ValueError, ["one column"]),
    "npz 0 to 1": (npz_of(images=IMAGES + 1.0), ValueError, ["float64", "1 to 1", "uint8", "255"]),
    "npz -1 to 1": (npz_of(x=np.linspace(-1, 1, 192, dtype=np.float32).reshape(3, 8, 8)),
                    ValueError, ["float32", "from -1 to 1", "save it as uint8", "127.5"]),
    "npz 0 to 255.0": (npz_of(x=IMAGES + 255.0), ValueError, ["255 to 255", "save it as uint8"]),
    "npz NaN": (npz_of(x=IMAGES + np.nan), ValueError, ["nan to nan", "save it as uint8"]),
    "npz int64": (npz_of(x=IMAGES.astype(int) - 7), ValueError, ["int64", "-7 to -7", "uint8"]),
    "npz texts": (npz_of(x=IMAGES.astype(str)), ValueError, ["<U3", "save it as uint8"]),
    "npz complex": (npz_of(x=IMAGES * 1j), ValueError, ["complex128", "uint8"]),
    "npz no images": (npz_of(a=IMAGES, b=IMAGES), ValueError, ["holds a, b", "images or x"]),
    "npz of nothing": (npz_of(), ValueError, ["holds nothing", "images or x"]),
    "npz two images": (npz_of(x=IMAGES, images=IMAGES), ValueError, ["x, images", "ambiguous"]),
    "npz two labels": (npz_of(x=IMAGES, y=[1], labels=[1]), ValueError, ["y, labels", "ambig"]),
    "npz few labels": (npz_of(x=IMAGES, y=[1, 2]), ValueError, ["(2,)", "3 images", "(3,)"]),
    "npz one-hot": (npz_of(x=IMAGES, y=np.eye(3, dtype=int)), ValueError, ["(3, 3)", "(3,)"]),
    "npz float labels": (npz_of(x=IMAGES, y=[0.5, 1, 2]), ValueError, ["float64", "integers"]),
    "npz label -1": (npz_of(x=IMAGES, y=[0, -1, 2]), ValueError, ["label -1", "from 0"]),
    "npz pickled": (npz_of(x=np.array([{}], object)), ValueError, ["Python objects"]),
    "npz pickled labels": (npz_of(x=IMAGES, y=np.array([{}] * 3, object)), ValueError,
                           ["Python objects"]),
    "npz of text": (bytes_of(b"text\n" * 99, "a.npz"), ValueError, ["no NumPy file"]),
    "npz, empty file": (bytes_of(b"", "a.npz"), ValueError, ["truncated or no NumPy file"]),
    "npz, flipped": (renamed(lambda top: patched(npz_of(x=IMAGES)(top), b"NUMPY", 0, "<I", 0),
                             "b.npz"), ValueError, ["b.npz is truncated or no NumPy file"]),
    "npy pickled": (npy_of(np.array([{}], object)), ValueError, ["Python objects"]),
    "npy cut": (cut_npy, ValueError, ["a.npy is truncated"]),
    "npy, empty file": (bytes_of(b"", "a.npy"), ValueError, ["a.npy is truncated"]),
    "npy channels first 3": (npy_of(np.zeros((2, 3, 8, 8), np.uint8)), ValueError,
                             ["(2, 3, 8, 8)", "channels first", "moveaxis"]),
    "npy channels first 1": (npy_of(np.zeros((2, 1, 8, 8), np.uint8)), ValueError,
                             ["channels first"]),
    "npy RGBA": (npy_of(np.zeros((2, 8, 8, 4), np.uint8)), ValueError, ["(2, 8, 8, 4)"]),
    "npy flat": (npy_of(np.zeros((2, 784), np.uint8)), ValueError, ["(2, 784)", "reshape"]),
    "npy a number": (npy_of(np.uint8(7)), ValueError, ["shape ()", "(N, H, W)"]),
    "npy five axes": (npy_of(np.zeros((1, 2, 8, 8, 3), np.uint8)), ValueError, ["(1, 2, 8, 8, 3)"]),
    "npy none": (npy_of(IMAGES[:0]), ValueError, ["(0, 8, 8)", "none", "at least 1"]),
    "npy small": (npy_of(IMAGES[:, :7]), ValueError, ["8x7", "at least 8"]),
    "npy one picture": (npy_of(np.zeros((28, 28, 3), np.uint8)), ValueError, ["(28, 28, 3)"]),
}  # fmt: skip


@pytest.mark.parametrize("case", list(BAD))
def test_bad_source(case, tmp_path):
    maker, kind, parts = BAD[case]
    path = maker(tmp_path)
    assert_clear(lambda: open_path(path), kind, parts, tmp_path)


@pytest.mark.parametrize(
    ("reader", "name", "part"),
    [
        (read_folder, "a.zip", "not a folder"),
        (read_zip, "folder", "is a folder"),
        (read_csv, "folder", "is a folder"),
        (read_arrays, "folder", "is a folder"),
        (read_zip, "a.csv", "not a zip"),
        (read_arrays, "a.csv", "no NumPy file"),
        (read_csv, "a.zip", "UTF-8"),
    ],
)
def test_a_reader_given_another_kind(reader, name, part, tmp_path):
    make_sources(tmp_path)
    assert_clear(lambda: reader(tmp_path / name), ValueError, [name, part], tmp_path)


def test_a_file_that_may_not_be_opened(tmp_path, monkeypatch):
    path = write_csv(tmp_path / "a.csv", [OKAY])

    def refuse(*_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("builtins.open", refuse)
    assert_clear(lambda: read_csv(path), PermissionError, ["a.csv", "denied"], tmp_path)


UNREADABLE = {
    "empty": (b"", "empty"),
    "text": (b"hello " * 50, "not an image"),
    "HTML": (b"<!doctype html><html>", "not an image"),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "not an image"),
    "TIFF": (encode(square(), "TIFF"), "not an image"),
    "ICO": (encode(square(), "ICO"), "not an image"),
    "zeros": (bytes(1000), "not an image"),
    "3 bytes": (b"\xff\xd8\xff", "truncated"),
    "PNG's first bytes": (encode(square())[:20], "truncated"),
    "WebP's first bytes": (encode(square(), "WEBP")[:20], "truncated"),
    "half a JPEG": (encode(Image.fromarray(noise()), "JPEG")[:-60], "truncated"),
    "JPEG less a byte": (encode(Image.fromarray(noise()), "JPEG")[:-1], "truncated"),
    "PNG without pixels": (png_header(20, 20), "truncated"),
    "too narrow": (encode(square(size=(3, 20))), "3x20 pixels, too small"),
    "too flat": (encode(square(size=(20, 7))), "20x7 pixels, too small"),
    "one pixel": (encode(square(size=(1, 1)), "GIF"), "1x1 pixels, too small"),
}


@pytest.mark.parametrize("case", list(UNREADABLE))
@pytest.mark.parametrize("ending", ["folder", "zip"])
def test_unreadable_picture(case, ending, tmp_path):
    content, reason = UNREADABLE[case]
    good = encode(square())
    if ending == "zip":
        found = read_zip(write_zip(tmp_path / "a.zip", {"bad.jpg": content, "good.png": good}))
    else:
        write(tmp_path / "bad.jpg", content)
        write(tmp_path / "good.png", good)
        found = read_folder(tmp_path)
    with pytest.raises(UnreadablePicture) as caught:
        found.read(0)
    message = str(caught.value)
    assert message.startswith(reason) and len(message) < 60 and str(tmp_path) not in message
    assert np.all(found.read(1) == RED)


LIES = {
    "declares less": lambda path: patched(path, CENTRAL, 24, "<I", 50),
    "declares more": lambda path: patched(path, CENTRAL, 24, "<I", 5000),
    "other CRC": lambda path: patched(path, CENTRAL, 16, "<I", 1),
    "other name": lambda path: patched(path, LOCAL, 30, "<I", 1),
    "other method": lambda path: patched(path, CENTRAL, 10, "<H", 9),
    "offset": lambda path: patched(path, CENTRAL, 42, "<I", 7),
}


@pytest.mark.parametrize("case", list(LIES))
def test_zip_whose_records_lie(case, tmp_path):
    path = LIES[case](write_zip(tmp_path / "a.zip", picture_entries()))
    with pytest.raises(UnreadablePicture, match=r"zip|deflate"):
        read_zip(path).read(0)


def test_a_zip_bomb_fills_no_memory(tmp_path):
    """100 MB of zeros that are declared as 90 bytes."""
    path = write_zip(tmp_path / "a.zip", {"a.png": bytes(100_000_000)})
    patched(path, CENTRAL, 24, "<I", 90)
    found = read_zip(path)
    tracemalloc.start()
    with pytest.raises(UnreadablePicture):
        found.read(0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_compressed_otherwise(method, tmp_path):
    """Python reads these methods, but not in bounded memory."""
    path = write_zip(tmp_path / "a.zip", picture_entries(), method)
    with pytest.raises(UnreadablePicture, match="otherwise than by deflate"):
        read_zip(path).read(0)


def test_a_file_that_grew_too_large(tmp_path, monkeypatch):
    write_folder(tmp_path, ["a.png"])
    monkeypatch.setattr(readers, "MOST_BYTES", 100)
    with pytest.raises(UnreadablePicture, match="more than"):
        read_folder(tmp_path).read(0)


def test_there_are_enough_bad_cases():
    assert len(BAD) >= 40
