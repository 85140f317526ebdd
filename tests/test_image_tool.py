"""The image tool, against slices of arrays."""

import importlib.util

import numpy as np
import pytest
from PIL import Image

from singa import image_tool
from singa.errors import ArgumentError, DataError, DependencyError
from singa.image_tool import ImageTool

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)


@pytest.fixture
def image():
    return Image.fromarray(PIXELS)


def array(image):
    return np.asarray(image)


def test_loading(tmp_path, image):
    image.save(tmp_path / "a.png")

    np.testing.assert_array_equal(array(image_tool.load_img(tmp_path / "a.png")), PIXELS)
    gray = image_tool.load_img(tmp_path / "a.png", grayscale=True)
    assert (gray.mode, gray.size) == ("L", (8, 6))
    gray.save(tmp_path / "gray.png")
    assert image_tool.load_img(tmp_path / "gray.png").mode == "RGB"


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
@pytest.mark.parametrize("drawn", [0, 255])
def test_a_transparent_image_lies_on_a_background(tmp_path, mode, drawn):
    alpha = np.array([[0, 255], [0, 0]], np.uint8)  # one pixel is drawn
    grey = Image.fromarray(np.full((2, 2), drawn, np.uint8))
    if mode == "P":
        transparent = Image.fromarray(np.where(alpha, 1, 0).astype(np.uint8)).convert("P")
        transparent.putpalette([drawn] * 6)
        transparent.save(tmp_path / "a.png", transparency=0)
    else:
        transparent = grey.convert(mode)
        transparent.putalpha(Image.fromarray(alpha))
        transparent.save(tmp_path / "a.png")

    def shades(**options):
        return np.unique(array(image_tool.load_img(tmp_path / "a.png", **options))).tolist()

    for grayscale in (False, True):
        assert shades(grayscale=grayscale) == sorted({drawn, 255})
        assert shades(grayscale=grayscale, background=100) == sorted({drawn, 100})
        assert shades(grayscale=grayscale, background=None) == [0, 255]
    with pytest.raises(ArgumentError, match="background is 256, 0 to 255 or None is expected"):
        shades(background=256)


def test_sixteen_bits_are_scaled_to_eight(tmp_path):
    shades = np.array([[0, 257, 20000, 65535]], np.uint16)
    Image.fromarray(shades).save(tmp_path / "a.png")

    found = array(image_tool.load_img(tmp_path / "a.png", grayscale=True))

    np.testing.assert_array_equal(found, [[0, 1, 78, 255]])


def test_files_that_are_no_images(tmp_path, image):
    (tmp_path / "text.png").write_text("not a picture")
    image.resize((100, 100)).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:2000])

    with pytest.raises(DataError, match=r"text\.png: not an image of a format that is read here"):
        image_tool.load_img(tmp_path / "text.png")
    with pytest.raises(DataError, match=r"cut\.png: damaged image: "):
        image_tool.load_img(tmp_path / "cut.png")
    with pytest.raises(FileNotFoundError):
        image_tool.load_img(tmp_path / "absent.png")


def test_without_pillow(monkeypatch):
    monkeypatch.setattr("singa.image_tool.images.find_spec", lambda name: None)

    with pytest.raises(DependencyError) as raised:
        image_tool.load_img("a.png")

    assert str(raised.value) == "images need Pillow: pip install 'singa-xla[images]'"
    assert importlib.util.find_spec("PIL")


@pytest.mark.parametrize(
    ("position", "rows", "columns"),
    [
        ("left_top", slice(0, 4), slice(0, 5)),
        ("left_bottom", slice(2, 6), slice(0, 5)),
        ("right_top", slice(0, 4), slice(3, 8)),
        ("right_bottom", slice(2, 6), slice(3, 8)),
        ("center", slice(1, 5), slice(1, 6)),
    ],
)
def test_crop(image, position, rows, columns):
    np.testing.assert_array_equal(
        array(image_tool.crop(image, (5, 4), position)), PIXELS[rows, columns]
    )


def test_crop_and_resize_takes_a_square(image):
    tall = image.transpose(Image.Transpose.TRANSPOSE)
    for position, begin in {"left": 0, "center": 1, "right": 2}.items():
        wide = image_tool.crop_and_resize(image, (6, 6), position)
        np.testing.assert_array_equal(array(wide), PIXELS[:, begin : begin + 6])
    for position, begin in {"top": 0, "middle": 1, "bottom": 2}.items():
        high = image_tool.crop_and_resize(tall, (6, 6), position)
        expected = PIXELS.transpose(1, 0, 2)[begin : begin + 6]
        np.testing.assert_array_equal(array(high), expected)
    assert image_tool.crop_and_resize(image, (3, 3), "left").size == (3, 3)


def test_sizes(image):
    assert image_tool.resize(image, 3).size == (4, 3)
    assert image_tool.resize(image.rotate(90, expand=True), 3).size == (3, 4)
    assert image_tool.scale(image, 12).size == (16, 12)
    assert image_tool.resize_by_hw(image, (5, 9)).size == (9, 5)


def test_mirrors(image):
    np.testing.assert_array_equal(array(image_tool.flip(image)), PIXELS[:, ::-1])
    np.testing.assert_array_equal(array(image_tool.flip_down(image)), PIXELS[::-1])


def test_color_cast_moves_each_channel_by_one_number(image):
    casts = set()
    for seed in range(20):
        cast = array(image_tool.color_cast(image, 30, seed)).astype(int)
        for channel in range(3):
            moved = {
                int(new) - int(old)
                for new, old in zip(cast[..., channel].flat, PIXELS[..., channel].flat, strict=True)
                if 0 < new < 255
            }
            assert len(moved) == 1
            casts |= moved
    assert min(casts) >= -30
    assert max(casts) <= 30
    assert len(casts) > 10
    np.testing.assert_array_equal(array(image), PIXELS)  # which SINGA's wrote into
    assert image_tool.color_cast(image.convert("L"), 30, 0).mode == "L"


def test_enhance_changes_some_and_keeps_the_form(image):
    changed = [array(image_tool.enhance(image, 0.5, seed)) for seed in range(10)]

    assert len({a.tobytes() for a in changed}) > 5
    assert all(a.shape == PIXELS.shape for a in changed)
    np.testing.assert_array_equal(array(image_tool.enhance(image, 0.0, 3)), PIXELS)


def test_a_sample_of_a_list_keeps_its_order():
    samples = [tuple(image_tool.get_list_sample("abcde", 3, seed)) for seed in range(30)]

    assert all(list(sample) == sorted(set(sample)) for sample in samples)
    assert len({*samples}) > 5
    assert image_tool.get_list_sample("abc", 3) == ["a", "b", "c"]
    for wrong in (0, 4):
        with pytest.raises(ArgumentError, match=f"num_case is {wrong}, 1 to 3 is expected"):
            image_tool.get_list_sample("abc", wrong)


def test_all_cases_of_each_operation(image):
    tool = ImageTool().set([image])

    assert [i.size for i in tool.resize_by_list([3, 12], 2, False)] == [(4, 3), (16, 12)]
    assert [i.size for i in tool.scale_by_list([3, 12], 2, False)] == [(4, 3), (16, 12)]
    assert [i.size for i in tool.resize_by_hw_list([(3, 5), (4, 2)], 2, False)] == [(5, 3), (2, 4)]
    rotated = tool.rotate_by_list([0, 180], 2, False)
    np.testing.assert_array_equal(array(rotated[1]), PIXELS[::-1, ::-1])
    for crop, number in ((tool.crop5, 5), (tool.crop3, 3), (tool.crop8, 8)):
        crops = crop((4, 4), number, False)
        assert [c.size for c in crops] == [(4, 4)] * number
    mirrored = tool.flip(2, False) + tool.flip_down(2, False)
    assert [array(m).tobytes() for m in mirrored] == [
        PIXELS[:, ::-1].tobytes(), PIXELS.tobytes(), PIXELS[::-1].tobytes(), PIXELS.tobytes(),
    ]  # fmt: skip
    assert tool.get() == [image]
    assert tool.num_augmentation() == 1


def test_random_sizes_places_and_parts(image):
    tool = ImageTool(0)
    for _ in range(20):
        tool.set([image, image])
        for resized in tool.resize_by_range((3, 6), False) + tool.scale_by_range((3, 6), False):
            assert min(resized.size) in (3, 4, 5)
        sizes = {resized.size for resized in tool.resize_by_hw_range(((3, 6), (7, 10)), False)}
        assert sizes <= {(7, 3), (8, 4), (9, 5)}
        assert all(i.size == (8, 6) for i in tool.rotate_by_range((-5, 6), False))
        for part in tool.random_crop((5, 4), False):
            windows = np.lib.stride_tricks.sliding_window_view(PIXELS, (4, 5, 3)).reshape(-1, 60)
            assert any((window == array(part).ravel()).all() for window in windows)
        assert all(part.size == (7, 7) for part in tool.random_crop_resize((7, 7), False))
    sides = {tuple(array(tool.random_crop((8, 6), False)[0]).flat) for _ in range(3)}
    assert sides == {tuple(PIXELS.flat)}  # a patch as large as the image


def test_a_chain_repeats_with_its_seed(tmp_path, image):
    image.resize((40, 30)).save(tmp_path / "a.png")

    def chain(seed):
        tool = ImageTool(seed).load(tmp_path / "a.png").resize_by_range((20, 26))
        tool.rotate_by_range((-9, 10)).crop8((16, 16), 3).flip().flip_down()
        tool.random_crop((12, 12)).random_crop_resize((9, 9)).color_cast().enhance()
        assert tool.num_augmentation() == 3
        return [array(i).tobytes() for i in tool.append(image).get()]

    assert len(chain(1)) == 4
    assert chain(1) == chain(1)
    assert chain(1) != chain(2)
    assert chain(np.random.default_rng(1)) == chain(1)


def test_each_image_has_its_own_sample(image):
    # SINGA's crop5 took the second image's positions from among those of the first.
    crops = ImageTool(0).set([image] * 40).crop5((3, 3), 1).get()

    assert len({array(c).tobytes() for c in crops}) == 5


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda i: image_tool.crop(i, (9, 3), "center"), r"patch of \(9, 3\) does not fit into an"),
        (lambda i: image_tool.crop(i, (3, 3), "top"), "position is 'top'; left_top, left_bottom"),
        (lambda i: image_tool.crop_and_resize(i, (3, 3), "top"), "'top'; left, center, right are"),
        (lambda i: ImageTool().set([i]).random_crop((3, 7)), r"of \(3, 7\) does not fit into an"),
        (lambda i: ImageTool().set([i]).crop3((3, 4)), "a square is expected"),
        (lambda i: ImageTool().set([i]).crop5((3, 3), 6), "num_case is 6, 1 to 5 is expected"),
        (lambda i: ImageTool().set([i]).flip(3), "num_case is 3, 1 to 2 is expected"),
        (lambda i: ImageTool().set([i]).color_cast(256), "offset is 256, 0 to 255 is expected"),
    ],
)
def test_wrong_arguments_are_refused(image, wrong, message):
    with pytest.raises(ArgumentError, match=message):
        wrong(image)
