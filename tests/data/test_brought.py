"""What people bring, kind by kind: read as it is meant, or a sentence says what was done."""

import re
import zipfile

import numpy as np
import pytest
from pictures import encode, noise, write, write_zip
from PIL import Image

import helpers
from helpers.refused import Refused

GRAY, COLOUR = noise(40, 32, 1), noise(40, 32, 3)
LABELS = np.arange(40) % 4
KINDS = ["cats", "dogs"]


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch):
    monkeypatch.setenv("DCGAN_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("DCGAN_PROFILE", "tiny")


def files(images=COLOUR, name="{number:02}.png", form="PNG"):
    return {name.format(number=number, kind=KINDS[number % 2]): encode(image, form)
            for number, image in enumerate(images)}  # fmt: skip


def folder(entries):
    def make(top):
        for name, content in entries.items():
            write(top / "own" / name, content)
        return top / "own"

    return make


def archive(entries, method=zipfile.ZIP_DEFLATED):
    def make(top):
        with zipfile.ZipFile(top / "own.zip", "w", method) as file:
            for name, content in entries.items():
                file.writestr(name, content)
        return top / "own.zip"

    return make


def table(rows, header=None):
    def make(top):
        lines = [",".join(map(str, row)) for row in ([header] if header else []) + list(rows)]
        (top / "own.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return top / "own.csv"

    return make


def arrays(*positional, **named):
    def make(top):
        np.savez(top / "own.npz", *positional, **named)
        return top / "own.npz"

    return make


def bits(image):
    return encode(Image.fromarray(image[..., 0]).point(lambda v: 255 * (v > 127)).convert("1"))


def csv(*columns):
    lines = [",".join(map(str, line)) for line in zip(*columns)]
    return ("\n".join(lines) + "\n").encode()


SMALL = noise(40, 8, 1).reshape(40, 64)
SMALL[:, 0], SMALL[:, -1] = 20, 30  # corners, as most pictures have them: alike
WORDS = [f"pixel{number}" for number in range(64)]
NUMBERS = list(range(64))
PHOTO = Image.new("1", (12000, 9000))
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(90)
TEXT = [" ".join(map(str, row)) for row in SMALL]
USE = ["Training"] * 30 + ["PublicTest"] * 10
PARTS = {"train": COLOUR[:24], "val": COLOUR[24:32], "test": COLOUR[32:]}
SPLIT = {
    f"{part}/{kind}/{name}": content
    for part, some in PARTS.items()
    for kind in KINDS
    for name, content in files(some, f"{part}{kind}{{number}}.png").items()
}
CLASSED = files(name="{kind}/{number}.png")
MIXED = np.repeat(noise(120, 32, 1), 3, axis=-1)
MIXED[[1, 3, 6, 8, 11]] = COLOUR[:5]  # none of the 50 that tell the usual format
RGB = np.moveaxis(COLOUR, -1, 1)

READ = [  # what it is; how to make it; training, held out, classes, largest value; what is said
    ("jfif and jpe beside jpg", folder(files(COLOUR[:20], "{number}.jpg", "JPEG")
        | files(COLOUR[20:30], "j{number}.jfif", "JPEG")
        | files(COLOUR[30:], "e{number}.jpe", "JPEG")), (34, 6, 1, 255), []),
    ("tiff", folder(files(name="{number}.tif", form="TIFF")), (34, 6, 1, 255), []),
    ("no ending, and a browser's", folder(files(COLOUR[:20], "{number}", "JPEG")
        | files(COLOUR[20:], "{number}.jpg_large", "JPEG")), (34, 6, 1, 255), []),
    ("ppm and pgm", folder(files(name="{number}.ppm", form="PPM")), (34, 6, 1, 255), []),
    ("cmyk", folder({f"{number}.jpg": encode(Image.fromarray(image).convert("CMYK"), "JPEG")
        for number, image in enumerate(COLOUR)}), (34, 6, 1, None), []),
    ("what an explorer leaves", folder(files() | {"Thumbs.db": bytes(99), "desktop.ini": b"[x]",
        "a/.ipynb_checkpoints/0.png": encode(COLOUR[0]), ".DS_Store": b""}),
        (34, 6, 1, 255), []),
    ("png named jpg", folder(files(name="{number}.jpg")), (34, 6, 1, 255), []),
    ("heic beside png", folder(files() | {"a.heic": HEIC, "b.HEIC": HEIC, "c.avif": HEIC}),
        (34, 6, 1, 255), ["left out", "2 .heic, 1 .avif", "JPEG or PNG"]),
    ("heic without an ending", folder(files() | {"a": HEIC}), (34, 6, 1, 255), ["1 no ending"]),
    ("heic named jpg", folder(files() | {"a.jpg": HEIC}), (34, 6, 1, 255), ["a.jpg (HEIC"]),
    ("svg and raw", archive(files() | {"a.svg": b"<svg/>", "b.cr2": b"II"}), (34, 6, 1, 255),
        ["1 .svg, 1 .cr2"]),
    ("csv beside pictures in a zip", archive(files() | {"train/train.csv": csv(*SMALL.T)}),
        (34, 6, 1, 255), ["train/train.csv is not read", "set DATASET to it"]),
    ("archive and array in a zip", archive(files() | {"more.zip": b"PK", "x.npy": b"\x93NUMPY"}),
        (34, 6, 1, 255), ["not read", "more.zip, x.npy"]),
    ("lzma", archive(files(), zipfile.ZIP_LZMA), (34, 6, 1, 255), []),
    ("bzip2", archive(files(), zipfile.ZIP_BZIP2), (34, 6, 1, 255), []),
    ("train, val, test", folder(SPLIT), (48, 32, 2, 255),
        ["train (trained on) and test, val (held out)", "one folder to mix them"]),
    ("seg_train, seg_test, deep", archive({re.sub("^(test|val|train)/", lambda found:
        "set/seg_train/seg_train/" if found[1] == "train" else "set/seg_test/seg_test/", name):
        content for name, content in SPLIT.items()}),
        (48, 32, 2, 255), ["seg_train (trained on) and seg_test (held out)"]),
    ("a split and a third folder", folder(SPLIT | files(COLOUR[:5], "pred/{number}.png")),
        (48, 32, 2, 255), ["left out are 5 pictures"]),
    ("trainA to testB", folder(files(COLOUR[:24], "trainA/{number}.png")
        | files(COLOUR[24:32], "trainB/{number}.png") | files(COLOUR[32:], "testA/{number}.png")),
        (32, 8, 1, 255), ["trainA, trainB (trained on) and testA (held out)"]),
    ("a split with classes in one part", folder({name.replace("test/cats/", "test/")
        .replace("test/dogs/", "test/"): content for name, content in SPLIT.items()
        if not name.startswith("val")}), (48, 16, 1, 255), ["the folders are no classes"]),
    ("a split without classes", folder({name.replace("cats/", "").replace("dogs/", ""): content
        for name, content in SPLIT.items()}), (48, 32, 1, 255), ["taken for a split"]),
    ("a vehicle called train", folder(files(COLOUR[:20], "train/{number}.png")
        | files(COLOUR[20:], "bus/{number}.png")), (34, 6, 2, 255), ["train is taken for a class"]),
    ("a test folder beside classes", folder(CLASSED | files(noise(50)[40:], "test/{number}.png")),
        (44, 6, 3, None), ["test is taken for a class"]),
    ("one folder around the classes", folder({f"pets/{name}": c for name, c in CLASSED.items()}),
        (34, 6, 2, 255), []),
    ("a stray picture", folder(CLASSED | {"cover.png": encode(COLOUR[0])}), (34, 6, 2, 255),
        ["left out beside", "1, such as cover.png"]),
    ("few in folders, most beside", folder(files() | {"a/x.png": encode(COLOUR[0] // 2),
        "b/y.png": encode(COLOUR[1] // 2)}), (36, 6, 1, 255), ["40 of 42", "no classes"]),
    ("labels in a table", folder(files(name="{number}.png")
        | {"labels.csv": csv(["id", *range(40)], ["breed", *LABELS])}), (34, 6, 4, 255),
        ["labels come from labels.csv, column 'breed'"]),
    ("labels by file names, in a zip", archive(files(name="img/{number}.png") | {"train.csv": csv(
        ["file", *(f"img/{n}.png" for n in range(40))], ["label", *LABELS], ["age", *range(40)])}),
        (34, 6, 4, 255), ["column 'label'"]),
    ("paths and labels without a header", folder(files(name="{kind}{number}.png")
        | {"labels.csv": csv([f"img/{KINDS[n % 2]}{n}.png" for n in range(40)], LABELS)}),
        (34, 6, 4, 255), ["labels come from labels.csv"]),
    ("a table that names half", folder(files(name="{number}.png") | {"labels.csv": csv(
        ["id", *range(20)], ["breed", *LABELS[:20]])}), (34, 6, 1, 255),
        ["labels.csv is not read"]),
    ("0 and 1 as png", folder(files(GRAY % 2)), (34, 6, 1, 1), ["largest value", "is 1 of 255"]),
    ("digits from 0 to 16", arrays(images=GRAY % 17), (34, 6, 1, 16), ["is 16 of 255"]),
    ("one bit a pixel", folder({f"{n}.png": bits(image) for n, image in enumerate(GRAY)}),
        (34, 6, 1, 255), []),
    ("16 bits", folder({f"{n}.png": encode(Image.fromarray(image[..., 0].astype(np.uint16) * 257))
        for n, image in enumerate(GRAY)}), (34, 6, 1, 255), []),
    ("12 bits in 16", folder({f"{n}.png": encode(Image.fromarray(image[..., 0].astype("u2") * 16))
        for n, image in enumerate(GRAY)}), (34, 6, 1, 16), ["is 16 of 255"]),
    ("floats from 0 to 1", arrays(x=GRAY / np.float32(255)), (34, 6, 1, 255),
        ["values 0 to 1, 0 is black and 1 is white"]),
    ("floats from 0 to 1, nearly", arrays(x=GRAY / np.float32(254.9) - np.float32(1e-6)),
        (34, 6, 1, 255), ["0 is black and 1 is white"]),
    ("floats from -1 to 1", arrays(x=GRAY / np.float32(127.5) - 1), (34, 6, 1, 255),
        ["-1 is black and 1 is white"]),
    ("booleans", arrays(x=GRAY > 99), (34, 6, 1, 255), ["0 is black and 1 is white"]),
    ("int64", arrays(x=GRAY.astype(int)), (34, 6, 1, 255), []),
    ("x_train to y_test", arrays(x_train=GRAY[:30], y_train=LABELS[:30], x_test=GRAY[30:],
        y_test=LABELS[30:]), (30, 10, 4, 255), ["x_train is trained on, x_test is held out"]),
    ("x_train and x_test alone", arrays(x_train=GRAY[:30], x_test=GRAY[30:]), (30, 10, 1, 255),
        ["x_test is held out"]),
    ("arrays without names", arrays(GRAY, LABELS), (34, 6, 4, 255), ["arr_1", "labels of arr_0"]),
    ("one-hot labels", arrays(x=GRAY, y=np.eye(4)[LABELS]), (34, 6, 4, 255), []),
    ("an array that is not asked for", arrays(images=GRAY, ids=np.arange(40)), (34, 6, 1, 255),
        ["not read are ids"]),
    ("samples last, in colour", arrays(X=np.moveaxis(COLOUR, 0, -1), y=LABELS[:, None]),
        (34, 6, 4, 255), ["samples last, so 40 pictures"]),
    ("samples last, gray", arrays(images=np.moveaxis(GRAY[..., 0], 0, -1)), (34, 6, 1, 255),
        ["samples last, so 40 pictures"]),
    ("channels first", arrays(images=RGB), (34, 6, 1, 255), ["channels first, so 40 pictures"]),
    ("channels first, samples last", arrays(images=np.moveaxis(RGB, 0, -1)), (34, 6, 1, 255),
        ["channels first, samples last"]),
    ("a row a picture", arrays(data=GRAY.reshape(40, -1), y=LABELS), (34, 6, 4, 255),
        ["1024 numbers are taken for 32x32 pixels"]),
    ("a column a picture", arrays(data=SMALL.T), (34, 6, 1, None), ["64 numbers", "8x8"]),
    ("label last", table(np.column_stack([SMALL, LABELS])), (34, 6, 4, None),
        ["the last column is taken for the label", "in a header"]),
    ("label first", table(np.column_stack([LABELS, SMALL])), (34, 6, 4, None),
        ["the first column is taken for the label"]),
    ("label with another name", table(np.column_stack([SMALL, LABELS]), [*WORDS, "sign"]),
        (34, 6, 4, None), ["column 'sign' is taken for the label"]),
    ("header of numbers", table(SMALL, NUMBERS), (34, 6, 1, None), []),
    ("header of numbers with a label", table(np.column_stack([LABELS, SMALL]),
        ["label", *NUMBERS]), (34, 6, 4, None), []),
    ("index of pandas", table(np.column_stack([np.arange(40), SMALL]), ["", *NUMBERS]),
        (34, 6, 1, None), ["not read, as no pixels"]),
    ("index and label", table(np.column_stack([np.arange(40), LABELS, SMALL]),
        ["", "label", *WORDS]), (34, 6, 4, None), ["not read, as no pixels"]),
    ("index without a header", table(np.column_stack([np.arange(40), SMALL])), (34, 6, 1, None),
        ["the first column counts the rows"]),
    ("index and label without a header", table(np.column_stack([np.arange(40), LABELS, SMALL])),
        (34, 6, 4, None), ["counts the rows", "taken for the label"]),
    ("pixels in one column", table(zip(LABELS, TEXT, USE), ["emotion", "pixels", "Usage"]),
        (30, 10, 4, None), ["all others are held out"]),
    ("pixels in one column alone", table(zip(TEXT), ["pixels"]), (34, 6, 1, None), []),
    ("five in colour", folder(files(MIXED, "{number:03}.png")), (108, 12, 1, 255),
        ["5 of 120 pictures are in colour and become gray", "CHANNELS = 3"]),
    ("one of 108 megapixels", folder(files() | {"phone.png": encode(PHOTO)}), (34, 6, 1, 255),
        ["Skipped 1: phone.png (more than 100 million pixels"]),
    ("20 pictures", folder(files(COLOUR[:20])), (14, 6, 1, 255), ["Only 14", "by heart"]),
    ("a zip of Windows", lambda top: write_zip(top / "own.zip", {
        f"C:/me/{name}".replace("/", "\\"): content for name, content in CLASSED.items()}),
        (34, 6, 2, 255), []),
]  # fmt: skip


@pytest.mark.parametrize(("make", "found", "said"), [case[1:] for case in READ],
                         ids=[case[0] for case in READ])  # fmt: skip
def test_what_is_brought_is_read_as_it_is_meant(make, found, said, tmp_path, capsys):
    dataset = str(make(tmp_path))
    for _ in range(2):  # what is said is said again when nothing has to be made
        images = helpers.prepare(helpers.open_run(dataset))
        printed = capsys.readouterr().out
        for part in said:
            assert part in printed, f"{part!r} is not in {printed!r}"
        lines = [line for line in printed.splitlines() if not line.startswith(("Images:", "Only"))]
        assert said or not lines
    train, held_out, classes, largest = found
    assert (len(images.train_images), len(images.held_out_images)) == (train, held_out)
    assert len(images.card["class_names"]) == classes
    if largest:
        assert images.card["brightest"] == largest


REFUSED = [
    ("too few", folder(files(COLOUR[:11])), ["gives", "at least 6 of each", "add pictures"]),
    ("three pictures and a table", archive(files(COLOUR[:3]) | {"a.csv": csv(*SMALL.T)}),
        ["at least 6 of each", "own.zip: a.csv is not read"]),
    ("all of them heic", folder({f"{n}.jpg": HEIC for n in range(30)}),
        ["30 were skipped", "HEIC"]),
    ("a zip in a zip", archive({"train.zip": b"PK", "sample.csv": b"a,b\n"}),
        ["holds no pictures", "train.zip", "sample.csv", "unpack it"]),
    ("a column of file names", table([[f"img/{n}.png", n % 3] for n in range(40)],
        ["file", "label"]), ["names of picture files such as 'img/0.png'", "to the folder of"]),
    ("numbers that are no square", table([[0, "1 2 3"]] * 40, ["emotion", "pixels"]),
        ["3 numbers in the column 'pixels' of row 2", "a square"]),
    ("12 bits in an array", arrays(x=GRAY.astype(np.uint16) * 16), ["values from", "uint8"]),
    ("one picture", arrays(x=COLOUR[0]), ["(32, 32, 3)", "H and W at least 8"]),
    ("four channels", arrays(x=np.concatenate([COLOUR, GRAY], axis=-1)), ["(40, 32, 32, 4)"]),
    ("a password", lambda top: locked(top / "own.zip"), ["40 were skipped", "needs a password"]),
]  # fmt: skip


def locked(path):
    content = bytearray(write_zip(path, files()).read_bytes())
    for signature, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        at = content.find(signature)
        while at >= 0:
            content[at + offset] |= 1
            at = content.find(signature, at + 4)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("make", "parts"), [case[1:] for case in REFUSED],
                         ids=[case[0] for case in REFUSED])  # fmt: skip
def test_what_cannot_be_used_is_refused_with_its_reason(make, parts, tmp_path, capsys):
    with pytest.raises(Refused) as caught:
        helpers.prepare(helpers.open_run(str(make(tmp_path))))
    said = capsys.readouterr().out + str(caught.value)
    assert all(part in said for part in parts), said
    assert "\n" not in str(caught.value) and str(tmp_path) not in said
