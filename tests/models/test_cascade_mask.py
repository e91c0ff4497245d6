"""Masks made where that is needed are those made everywhere."""

import warnings

import av
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from facemask.boxes import Box
from facemask.classes import EYES, INNER_MOUTH, LIPS, SKIN
from facemask.confidence import expected_ious
from facemask.extraction import FaceMaskExtractor
from facemask.models.cascade import mask
from facemask.models.cascade.mask import Mask, make_mask
from facemask.models.cascade.rules import Rules
from facemask.models.cascade.stitch import Frame, Zoom, stitch
from facemask.regions import Region
from facemask.resample import resize_image
from facemask.turned import TurnedBox
from facemask.views import View
from facemask.weights.catalog import LicenceNotice
from tests.video.videos import carphone

SIZE = 48


@pytest.fixture(autouse=True)
def small_faces_as_large_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mask, "FEW", 0)
    monkeypatch.setattr(mask, "FEW_TURNED", 0)


def smooth(labels: Tensor, classes: int, seed: int) -> Tensor:
    """Scores of a network that sees these labels, blurred, with a little noise."""
    of_labels = F.one_hot(labels.long(), classes).permute(2, 0, 1).float()
    noise = torch.rand(of_labels.shape, generator=torch.Generator().manual_seed(seed))
    blurred = F.avg_pool2d((2 * of_labels - 1 + 0.6 * noise - 0.3)[None], 3, 1, 1)
    return blurred[0]


def drawn_face() -> Tensor:
    labels = torch.zeros(SIZE, SIZE)
    labels[5:43, 8:40] = SKIN
    labels[14:19, 12:20] = labels[14:18, 28:36] = EYES
    labels[30:38, 16:31] = LIPS
    labels[33:35, 19:28] = INNER_MOUTH
    return labels


def frame_of(view: View, seed: int, stray: bool = False) -> Frame:
    """A face whose specialists see a little less of its eyes and more of its mouth."""
    labels = drawn_face()
    if stray:
        labels[23:25, 34:36] = EYES
        labels[45:47, 30:33] = LIPS  # below the face
    height, width = view.size
    eyes, mouth = Box(0.2, 0.2, 0.8, 0.48), Box(0.25, 0.5, 0.75, 0.9)
    rows, columns = slice(10, 23), slice(10, 38)  # the same boxes in the primary's pixels
    own = (labels[rows, columns] == EYES).float()
    of_eyes = smooth(F.interpolate(own[None, None], (SIZE, SIZE))[0, 0] > 0.6, 2, seed + 1)
    part = labels[24:43, 12:36]
    own = torch.where(part >= LIPS, part - 2, 0.0)
    of_mouth = smooth(F.interpolate(own[None, None], (SIZE, SIZE))[0, 0].round(), 3, seed + 2)
    zooms = [
        Zoom("eyes", eyes.in_pixels(height, width), of_eyes),
        Zoom("mouth", mouth.in_pixels(height, width), of_mouth),
    ]
    face = Box(0.1, 0.05, 0.9, 0.95).in_pixels(height, width)
    return Frame(smooth(labels, 5, seed), view, face, zooms)


def view_of(roll: float, side: float) -> View:
    pixels = torch.zeros(3, 130, 140, dtype=torch.uint8)
    if roll == 0:
        return View.whole(pixels)
    return View(pixels, TurnedBox(Box.around(68.3, 66.1, side), roll))


@pytest.mark.parametrize("roll", [0.0, 7.5, -100.0])
@pytest.mark.parametrize("side", [31.0, 86.4])
@pytest.mark.parametrize("weight", [0.0, 0.35])
@pytest.mark.parametrize("stray", [False, True])
def test_labels_are_those_of_all_pixels(
    roll: float, side: float, weight: float, stray: bool
) -> None:
    for seed in (1, 20):
        frame = frame_of(view_of(roll, side), seed, stray)
        labels, probabilities = stitch(frame, 0.1, True, weight)
        assert probabilities is not None
        made = make_mask(frame, Rules(0.1, weight))
        assert set(labels.flatten().tolist()) == {0, 1, 2, 3, 4}
        assert torch.equal(made.labels, labels)
        assert torch.equal(made.probabilities(), probabilities)
        expected = expected_ious(labels.numpy(), probabilities.numpy())
        np.testing.assert_allclose(made.expected, expected, atol=0.1 if side < 40 else 0.05)


def test_noise_of_any_kind_is_labelled_alike() -> None:
    generator = torch.Generator().manual_seed(3)
    for n in range(12):
        draws = [2 * torch.rand(c, 9, 9, generator=generator) - 1 for c in (5, 2, 3)]
        zooms = [
            Zoom("eyes", Box(-1.5, 0.3, 25.2, 27.1), draws[1]),
            Zoom("mouth", Box(12.1, 11.9, 44.2, 43.0), draws[2]),
        ]
        frame = Frame(draws[0], view_of(9.0 * n, 40.0), Box(3, 3, 39, 37), zooms[: 1 + n % 3])
        rules = Rules((0.01, 0.1, 3.0)[n % 3], 0.35)
        labels, _ = stitch(frame, rules.temperature, False, rules.primary_weight)
        assert torch.equal(make_mask(frame, rules).labels, labels)


def test_any_boxes_of_any_frame_are_labelled_alike() -> None:
    """Faces and noise at many sizes and rolls; boxes that overlap, stick out, or miss the face."""
    generator = torch.Generator().manual_seed(11)
    numbers = np.random.default_rng(11)
    for n in range(60):
        side = float(numbers.uniform(12, 150))
        view = view_of(0.0 if n % 5 == 0 else float(numbers.uniform(-180, 180)), side)
        height, width = view.size
        count = int(numbers.integers(8, 60))
        blocks = int(numbers.integers(3, 9))
        zooms = []
        kinds: tuple[tuple[Region, int], ...] = (("eyes", 2), ("eyes", 2), ("mouth", 3))
        for region, classes in kinds[n % 2 :]:
            noise = torch.rand(1, classes, blocks, blocks, generator=generator)
            scores = F.interpolate(4 * noise, (count, count), mode="bilinear")[0]
            x, y = numbers.uniform(0, 1, 2)
            box = Box.around(float(x), float(y), float(numbers.uniform(0.1, 0.8)))
            zooms.append(Zoom(region, box.in_pixels(height, width), scores))
        noise = torch.rand(1, 5, blocks, blocks, generator=generator)
        noise += 0.4 * F.one_hot(torch.tensor([n % 5]), 5)[0, :, None, None]
        scores = F.interpolate(4 * noise, (count, count), mode="bilinear")[0]
        face = Box(*numbers.uniform(0, 0.3, 2), *numbers.uniform(0.6, 1.1, 2))
        frame = Frame(scores, view, face.in_pixels(height, width), zooms)
        rules = Rules((0.05, 0.3, 2.0)[n % 3], (0.0, 0.35, 1.0)[n // 3 % 3])
        labels, _ = stitch(frame, rules.temperature, False, rules.primary_weight)
        made = make_mask(frame, rules)
        assert torch.equal(made.labels, labels), n
        present = [bool((labels == part).any()) for part in range(1, 5)]
        np.testing.assert_array_equal(np.isfinite(made.expected), present)


@pytest.mark.parametrize("height", [100, 144, 420])
def test_of_a_real_face_labels_are_those_of_all_pixels(height: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LicenceNotice)
        extractor = FaceMaskExtractor.load("default", device="cpu")
    with av.open(str(carphone())) as video:
        picture = next(video.decode(video=0)).to_ndarray(format="rgb24")
    width = round(height * 176 / 144)
    turned = np.ascontiguousarray(np.rot90(resize_image(picture, height, width)))
    (face,) = extractor.image(turned).faces
    assert abs(face.roll) > 60
    assert {1, 2, 3} <= set(face.crop_labels.flatten().tolist())
    np.testing.assert_array_equal(face.crop_labels, face.crop_probabilities.argmax(axis=0))
    if height == 420:  # of smaller faces confidence is summed up over all pixels (FEW_TURNED)
        expected = expected_ious(face.crop_labels, face.crop_probabilities)
        assert face.expected is not None
        np.testing.assert_allclose(face.expected, expected, atol=0.03)


def test_few_pixels_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = frame_of(view_of(3.0, 120.0), 1)
    monkeypatch.setattr(mask, "stitch_everywhere", None)  # is not called
    made: Mask = make_mask(frame, Rules(0.1, 0.35))
    assert (made.labels == EYES).sum() > 100


def test_small_faces_are_summed_up_over_all_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mask, "FEW", 130 * 140 + 1)
    monkeypatch.setattr(mask, "FEW_TURNED", 130 * 140)
    for roll, alike in ((0.0, True), (3.0, False)):
        frame = frame_of(view_of(roll, 86.4), 1)
        labels, probabilities = stitch(frame, 0.1, True, 0.35)
        assert probabilities is not None
        made = make_mask(frame, Rules(0.1, 0.35))
        assert torch.equal(made.labels, labels)
        expected = expected_ious(labels.numpy(), probabilities.numpy())
        assert np.array_equal(made.expected, expected) == alike


def test_without_a_face_or_a_specialist_all_is_as_before() -> None:
    frame = frame_of(view_of(3.0, 120.0), 1)
    for other in (frame._replace(face=None, zooms=[]), frame._replace(zooms=frame.zooms[:1])):
        labels, probabilities = stitch(other, 0.1, True, 0.35)
        made = make_mask(other, Rules(0.1, 0.35))
        assert probabilities is not None
        assert torch.equal(made.labels, labels)
        expected = expected_ious(labels.numpy(), probabilities.numpy())
        np.testing.assert_array_equal(made.expected, expected)
