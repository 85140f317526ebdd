"""Folders and lists of image files."""

import numpy as np
import pytest
from PIL import Image

import odd_datasets as odd
from singa.data import DataLoader, ImageBatchIter, ImageFolder
from singa.errors import ArgumentError, DataError, WorkerError


@pytest.fixture
def folder(tmp_path):
    """Twelve images of one colour each, in folders of two classes, and a list of them."""
    lines = []
    for number in range(12):
        kind = ("cat", "dog")[number % 2]
        path = tmp_path / kind / f"an image {number:02}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 6), (number, 100, 255)).save(path)
        lines.append(f"{path.relative_to(tmp_path)} {number}\n")
    (tmp_path / "list.txt").write_text("".join(lines) + "\n")
    return tmp_path


def numbers(images):
    return images[:, 0, 0, 0].astype(int).tolist()


def test_a_folder_for_each_class(folder):
    (folder / "dog" / "notes.txt").write_text("not an image")
    dataset = ImageFolder(folder)

    assert dataset.class_names == ("cat", "dog")
    assert len(dataset) == 12
    image, label = dataset[7]
    assert (image.shape, image.dtype, label) == ((3, 6, 8), np.float32, 1)
    np.testing.assert_allclose(image[:, 2, 3], [3 / 255, 100 / 255, 1])
    images, labels = next(iter(DataLoader(ImageFolder(folder, (4, 5), grayscale=True), 12)))
    assert images.shape == (12, 1, 4, 5)
    assert labels.tolist() == [0] * 6 + [1] * 6
    with DataLoader(dataset, 4, workers=2) as loader:
        in_workers = np.concatenate([images for images, _ in loader])
    np.testing.assert_array_equal(in_workers, [image for image, _ in dataset_rows(dataset)])


def dataset_rows(dataset):
    return [dataset[i] for i in range(len(dataset))]


def test_folders_without_what_is_expected(tmp_path, folder):
    with pytest.raises(DataError, match="absent: no such folder"):
        ImageFolder(tmp_path / "absent")
    with pytest.raises(DataError, match="cat: no folders are in it, one for each class"):
        ImageFolder(folder / "cat")
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: no images are in it \(\.bmp, "):
        ImageFolder(folder)
    (folder / "empty").rmdir()
    (folder / "cat" / "bad.jpg").write_text("not an image")
    with pytest.raises(DataError, match=r"bad\.jpg: not an image"):
        list(DataLoader(ImageFolder(folder), 4, workers=1))


def batches_of(folder, transform, batch_size=4, **options):
    list_file = folder / "list.txt"
    return ImageBatchIter(list_file, batch_size, transform, image_folder=folder, **options)


def test_batches_of_a_list_epoch_by_epoch(folder):
    batches = batches_of(folder, odd.as_it_is, 5, shuffle=True, seed=1)
    assert batches.num_samples == 12
    batches.start()

    epochs = [list(batches) for _ in range(2)]

    for epoch in epochs:
        assert [x.shape for x, _ in epoch] == [(5, 3, 6, 8), (5, 3, 6, 8), (2, 3, 6, 8)]
        for x, y in epoch:
            assert (x.dtype, y.dtype) == (np.float32, np.int32)
            assert numbers(x) == y.tolist()
        assert sorted(i for _, y in epoch for i in y.tolist()) == list(range(12))
    assert [y.tolist() for _, y in epochs[0]] != [y.tolist() for _, y in epochs[1]]
    here = [y.tolist() for _, y in batches.run()]
    assert here == [y.tolist() for _, y in epochs[0]]
    batches.end()


def test_next_goes_on_for_ever(folder):
    batches = batches_of(folder, odd.as_it_is, shuffle=False, capacity=1)
    batches.start()

    firsts = [batches.next()[1][0] for _ in range(7)]

    assert firsts == [0, 4, 8, 0, 4, 8, 0]
    batches.end()
    batches.end()
    with pytest.raises(ArgumentError, match=r"call start\(\) before the first batch"):
        batches.next()


def test_several_images_of_each(folder):
    batches = batches_of(folder, odd.five_crops, 10, shuffle=False)
    batches.start()
    try:
        x, y = next(batches)
    finally:
        batches.end()

    assert x.shape == (10, 3, 4, 4)
    assert y.tolist() == [0] * 5 + [1] * 5
    with pytest.raises(
        ArgumentError, match="makes 5 images of each, and batch_size 4 is not a mul"
    ):
        batches_of(folder, odd.five_crops).start()
    with pytest.raises(ArgumentError, match="more images of one file than of another"):
        list(batches_of(folder, odd.uneven).run())


def test_a_death_and_a_damaged_image(folder):
    batches = batches_of(folder, odd.dies_at_7, shuffle=False)
    batches.start()
    assert batches.next()[1].tolist() == [0, 1, 2, 3]
    with pytest.raises(WorkerError, match="ended with exit status 3 before it had made"):
        batches.next()
    batches.end()

    (folder / "cat" / "an image 04.png").write_text("not an image")
    batches = batches_of(folder, odd.as_it_is, shuffle=False)
    batches.start()
    batches.next()
    with pytest.raises(DataError, match=r"an image 04\.png: not an image"):
        batches.next()
    batches.end()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a.png 1\nb.png\n", "line 2: a path, ' ' and a label, 0 or more, are expected, found "),
        ("a.png 1\n\nb.png one\n", "line 3: a path, ' ' and a label, 0 or more, are expected"),
        ("\n", "no images are listed in it"),
    ],
)
def test_damaged_lists_are_told_of_with_file_and_line(folder, content, message):
    (folder / "list.txt").write_text(content)

    with pytest.raises(DataError, match=message):
        batches_of(folder, odd.as_it_is)


def test_wrong_arguments_are_refused_at_once(folder):
    with pytest.raises(ArgumentError, match="batch_size is 0, at least 1"):
        batches_of(folder, odd.as_it_is, 0)
    with pytest.raises(ArgumentError, match="prefetch is 0, at least 1"):
        batches_of(folder, odd.as_it_is, capacity=0)
