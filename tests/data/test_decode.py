"""Image files as a camera, a scanner or a microscope writes them are decoded as they look."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis.extra import numpy as arrays
from PIL import Image
from torchvision.transforms import functional as reference

from ldlstudy.data.decode import Stream, decode

SIDE = 6
GREY = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
PALETTE = [[200, 10, 30], [0, 255, 7], [90, 90, 91], [255, 255, 255]]


def seen(file):
    """Return what is decoded without any resizing, (H, W, 3)."""
    return decode(file, SIDE).permute(1, 2, 0).numpy()


def grey(values):
    return np.stack([values] * 3, 2)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK"])
def test_decoding_resizes_the_shorter_side_and_keeps_the_centre(mode, tmp_path):
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, (20, 31, 3), dtype=np.uint8)).convert(mode)
    file = tmp_path / "picture.tiff"
    picture.save(file)
    whole = picture.convert("RGB").resize((round(31 * 8 / 20 - 0.5), 8), Image.Resampling.BILINEAR)
    expected = reference.pil_to_tensor(whole.crop((2, 0, 10, 8)))
    assert torch.equal(decode(file, 8), expected)


@pytest.mark.parametrize("suffix", ["png", "tiff", "pgm"])
@given(arrays.arrays(np.uint16, (SIDE, SIDE)))
def test_sixteen_bits_are_scaled_to_eight(suffix, tmp_path_factory, values):
    file = tmp_path_factory.mktemp("sixteen") / f"a.{suffix}"
    Image.fromarray(values).save(file)
    assert np.array_equal(seen(file), grey(np.rint(values / 65535 * 255)))


def test_sixteen_bits_of_another_byte_order_and_another_maximum(tmp_path):
    wide = GREY.astype(np.uint16) * 257
    big = tmp_path / "big.tiff"
    Image.frombytes("I;16B", (SIDE, SIDE), wide.astype(">u2").tobytes()).save(big)
    assert np.array_equal(seen(big), grey(GREY))
    ten_bits = tmp_path / "ten.pgm"
    values = np.round(GREY / 255 * 1023)
    ten_bits.write_bytes(b"P5 6 6 1023\n" + values.astype(">u2").tobytes())
    assert np.array_equal(seen(ten_bits), grey(GREY))


def test_floating_point_from_0_to_1_is_scaled_to_255(tmp_path):
    file = tmp_path / "a.tiff"
    Image.fromarray((GREY / 255).astype(np.float32)).save(file)
    assert np.array_equal(seen(file), grey(GREY))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([[0.0, 200.5]], np.float32), "float32 from 0 to 200.5: 8 or 16 bits are read"),
        (np.array([[-0.5, 0.5]], np.float32), "float32 from -0.5 to 0.5"),
        (np.array([[0.5, np.nan]], np.float32), "float32 from nan to nan"),
        (np.array([[0, 255]], np.int32), "int32 from 0 to 255: 8 or 16 bits are read"),
        (np.array([[0, 70000]], np.int32), "int32 from 0 to 70000"),
    ],
)
def test_values_on_an_unknown_scale_are_refused(values, message, tmp_path):
    file = tmp_path / "a.tiff"
    Image.fromarray(values).save(file)
    with pytest.raises(ValueError, match=re.escape(f"{file} has values of type {message}")):
        decode(file, SIDE)


TURNS = {  # EXIF 2.3, tag 274: where the stored first row and column are, so what puts it upright
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: np.rot90(stored, 1),
}


@pytest.mark.parametrize("turn", sorted(TURNS))
@pytest.mark.parametrize("stored", [COLOUR, GREY, GREY.astype(np.uint16) * 257])
def test_a_picture_is_turned_as_its_exif_data_say(turn, stored, tmp_path):
    exif = Image.Exif()
    exif[274] = turn
    for file in (tmp_path / "a.png", tmp_path / "a.tiff"):
        Image.fromarray(stored).save(file, exif=exif)
        upright = TURNS[turn](GREY if stored.ndim == 2 else COLOUR)
        assert np.array_equal(seen(file), grey(upright) if stored.ndim == 2 else upright)


def test_a_long_picture_is_turned_before_its_centre_is_cut(tmp_path):
    stored = np.zeros((SIDE, 2 * SIDE), np.uint8)
    stored[:, SIDE // 2 : SIDE // 2 + SIDE] = GREY
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(seen(tmp_path / "a.png"), grey(np.rot90(GREY, -1)))


def test_one_bit_palettes_transparency_and_ink(tmp_path):
    file = tmp_path / "a.tiff"
    Image.fromarray(GREY > 127).save(file)
    assert np.array_equal(seen(file), grey(np.where(GREY > 127, 255, 0)))
    ink = np.dstack([255 - COLOUR, np.zeros_like(GREY)])  # no black: the rest of white is left
    Image.frombytes("CMYK", (SIDE, SIDE), ink.tobytes()).save(file)
    assert np.array_equal(seen(file), COLOUR)

    file, numbers = tmp_path / "a.png", GREY // 64
    indexed = Image.frombytes("P", (SIDE, SIDE), numbers.tobytes())
    indexed.putpalette(np.ravel(PALETTE).tolist())
    for transparency in (None, 1, b"\x00\x80\xff\xff"):
        shown = {} if transparency is None else {"transparency": transparency}
        indexed.save(file, **shown)
        assert np.array_equal(seen(file), np.array(PALETTE, np.uint8)[numbers])

    for alpha in (np.zeros_like(GREY), GREY):
        Image.fromarray(np.dstack([COLOUR, alpha])).save(file)
        assert np.array_equal(seen(file), COLOUR)
        Image.fromarray(np.dstack([GREY, alpha])).save(file)
        assert np.array_equal(seen(file), grey(GREY))


@pytest.mark.parametrize("suffix", ["gif", "png", "tiff"])
def test_the_first_picture_of_several_counts(suffix, tmp_path):
    pictures = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    pictures[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=pictures[1:])
    assert np.array_equal(seen(tmp_path / f"a.{suffix}"), grey(GREY))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow's, before its error
@pytest.mark.parametrize("suffix", ["png", "jpg", "tiff", "gif", "webp", "bmp"])
def test_a_truncated_file_is_named(suffix, tmp_path):
    file = tmp_path / f"a.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(file)
    content = file.read_bytes()
    for kept in (0, 1, 10, len(content) // 2):
        file.write_bytes(content[:kept])
        with pytest.raises(ValueError, match=re.escape(f"{file} cannot be read as an image")):
            decode(file, SIDE)


def test_pictures_of_several_sizes_and_kinds_become_one_tensor(tmp_path):
    files = [tmp_path / f"{i}.png" for i in range(3)]
    Image.fromarray(np.full((9, 20), 7, np.uint8)).save(files[0])
    Image.fromarray(np.full((30, 12), 8 * 257, np.uint16)).save(files[1])
    Image.fromarray(np.full((5, 5, 4), 9, np.uint8)).save(files[2])
    pixels = Stream(files, 8).tensor()
    assert pixels.shape == (3, 3, 8, 8)
    assert [torch.unique(each).tolist() for each in pixels] == [[7], [8], [9]]
