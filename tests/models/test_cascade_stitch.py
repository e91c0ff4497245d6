"""The rules of stitching on maps of a few pixels, worked out by hand."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from facemask.boxes import Box
from facemask.models.cascade.stitch import Frame, Zoom, fill_holes, stitch
from facemask.regions import Region
from facemask.views import View

WHOLE = Box(0, 0, 6, 1)


def blank(height: int, width: int) -> View:
    return View.whole(torch.zeros(3, height, width, dtype=torch.uint8))


def scores(labels: list[int], count: int, sure: list[float] | None = None) -> Tensor:
    """One row of scores (count, 1, W): 1 for the label, or as sure as given."""
    one_hot = torch.nn.functional.one_hot(torch.tensor(labels), count).float().T[:, None]
    return one_hot if sure is None else one_hot * torch.tensor(sure)


def zoom(region: Region, labels: list[int], sure: list[float] | None = None) -> Zoom:
    return Zoom(region, WHOLE, scores(labels, 2 if region == "eyes" else 3, sure))


def row(frame: Frame) -> list[int]:
    labels, probabilities = stitch(frame, 0.1, with_probabilities=True)
    assert probabilities is not None
    assert torch.equal(probabilities.argmax(dim=0).byte(), labels)
    again, none = stitch(frame, 0.1, with_probabilities=False)
    assert none is None
    assert torch.equal(again, labels)
    values: list[int] = labels[0].tolist()
    return values


def test_without_zooms_the_primary_stays() -> None:
    primary = scores([0, 1, 2, 3, 4, 2], 5)
    assert row(Frame(primary, blank(1, 6), None, [])) == [0, 1, 2, 3, 4, 2]
    assert row(Frame(primary, blank(1, 6), WHOLE, [])) == [0, 1, 2, 3, 4, 2]


def test_eyes_replace_skin_and_background_and_what_is_not_confirmed_is_skin() -> None:
    primary = scores([0, 1, 2, 2, 3, 0], 5)
    frame = Frame(primary, blank(1, 6), WHOLE, [zoom("eyes", [1, 1, 1, 0, 1, 0])])
    assert row(frame) == [2, 2, 2, 1, 3, 0]  # without a mouth network the lips stay


def test_mouth_has_two_classes() -> None:
    primary = scores([3, 4, 4, 3, 1, 2], 5)
    frame = Frame(primary, blank(1, 6), WHOLE, [zoom("mouth", [2, 1, 0, 0, 1, 2])])
    assert row(frame) == [4, 3, 1, 1, 3, 2]


def test_where_both_claim_a_pixel_the_primary_decides_or_the_surer_one() -> None:
    primary = scores([2, 3, 4, 1, 1, 0], 5)
    eyes = zoom("eyes", [1, 1, 1, 1, 1, 1], [0.2, 0.9, 0.9, 0.5, 0.6, 0.3])
    mouth = zoom("mouth", [1, 1, 2, 1, 1, 2], [0.9, 0.2, 0.2, 0.6, 0.5, 0.9])
    assert row(Frame(primary, blank(1, 6), WHOLE, [eyes, mouth])) == [2, 3, 4, 3, 2, 4]


def test_an_unconfirmed_eye_can_be_the_mouths() -> None:
    primary = scores([2, 3, 1, 1, 1, 1], 5)
    eyes = zoom("eyes", [0, 1, 0, 0, 0, 0])
    mouth = zoom("mouth", [1, 0, 0, 0, 0, 0])
    assert row(Frame(primary, blank(1, 6), WHOLE, [eyes, mouth])) == [3, 2, 1, 1, 1, 1]


def test_outside_the_box_and_outside_the_face() -> None:
    primary = scores([2, 2, 1, 2, 2, 0], 5)
    primary[1, 0, 4] = 0.5  # next to eyes it is skin, and not background
    found = Zoom("eyes", Box(2, 0, 4, 1), scores([1, 1], 2))
    frame = Frame(primary, blank(1, 6), Box(1, 0, 3, 1), [found])
    # 0: a stray eye outside the face; 1: one inside; 2: confirmed; 3: confirmed, but not in the
    # face; 4: outside the face, but on something like skin
    assert row(frame) == [0, 1, 2, 0, 1, 0]


def test_the_surer_of_two_eye_boxes_counts() -> None:
    primary = scores([1, 1, 1, 1, 1, 1], 5)
    left = Zoom("eyes", Box(0, 0, 4, 1), scores([0, 1, 1, 0], 2))
    right = Zoom("eyes", Box(2, 0, 6, 1), scores([0, 1, 0, 1], 2))
    for zooms in ([left, right], [right, left]):
        assert row(Frame(primary, blank(1, 6), WHOLE, zooms)) == [1, 2, 2, 2, 1, 2]


def test_probabilities_by_hand() -> None:
    primary = torch.tensor([0.10, 0.20, 0.60, 0.06, 0.04]).log().view(5, 1, 1)
    eyes = Zoom("eyes", Box(0, 0, 1, 1), torch.tensor([0.7, 0.3]).log().view(2, 1, 1))
    mouth = Zoom("mouth", Box(0, 0, 1, 1), torch.tensor([0.5, 0.4, 0.1]).log().view(3, 1, 1))
    face = Box(0, 0, 1, 1)
    label, values = stitch(Frame(primary, blank(1, 1), face, [eyes]), 1.0, with_probabilities=True)
    assert values is not None
    # the 0.7 of the eyes' background go to 0.1 : 0.2 + 0.6 : 0.06 : 0.04
    torch.testing.assert_close(values.flatten(), torch.tensor([0.07, 0.56, 0.3, 0.042, 0.028]))
    assert label.item() == 1
    label, values = stitch(
        Frame(primary, blank(1, 1), face, [eyes, mouth]), 1.0, with_probabilities=True
    )
    assert values is not None
    # then the mouth's 0.5 to 0.07 : 0.56 : 0.3. Lips are likelier than skin, 0.4 to 0.3011, but
    # the mouth's network says background first: skin is raised to just above
    assert label.item() == 1
    raised = torch.tensor([0.5 * 0.07 / 0.93, 0.4004, 0.5 * 0.3 / 0.93, 0.4, 0.1])
    torch.testing.assert_close(values.flatten(), raised / raised.sum())


def test_holes_trade_background_for_the_next_class() -> None:
    ring = torch.zeros(2, 3, 5, 5)
    ring[:, 0] = 0.4
    ring[0, 1, 1:4, 1:4] = 1.0
    ring[0, :, 2, 2] = torch.tensor([0.9, 0.1, 0.3])
    filled = fill_holes(ring)
    assert filled[0, :, 2, 2].tolist() == pytest.approx([0.3, 0.1, 0.9])
    changed = (filled != ring).any(dim=1)
    assert changed.nonzero().tolist() == [[0, 2, 2]]
    assert ring[0, 0, 2, 2] == pytest.approx(0.9)  # the input is left alone
    assert fill_holes(ring[1:]) is not None


values = st.integers(0, 2**16)


@settings(max_examples=40, deadline=None)
@given(seed=values, temperature=st.sampled_from([1e-3, 0.1, 1.0, 30.0]), face=st.booleans())
def test_never_background_where_the_primary_saw_a_face(
    seed: int, temperature: float, face: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator) * 2 - 1

    primary = draw(5, 7, 8)
    zooms = [
        Zoom("eyes", Box(-1.5, 0.3, 5.2, 7.1), draw(2, 9, 9)),
        Zoom("mouth", Box(2.1, 1.9, 14.2, 13.0), draw(3, 9, 9)),
    ]
    box = Box(0, 0, 12, 10) if face else Box(2, 2, 9, 9)
    labels, probabilities = stitch(Frame(primary, blank(10, 12), box, zooms), temperature, True)
    before, _ = stitch(Frame(primary, blank(10, 12), None, []), temperature, False)
    assert probabilities is not None
    assert torch.equal(probabilities.argmax(dim=0).byte(), labels)
    torch.testing.assert_close(probabilities.sum(dim=0), torch.ones(10, 12))
    inside = torch.zeros(10, 12, dtype=torch.bool)
    inside[int(box.top) : int(box.bottom), int(box.left) : int(box.right)] = True
    assert not ((labels == 0) & (before != 0) & inside).any()
    # what neither network nor rule touches
    plain = before < 2
    assert torch.equal(labels[~inside & plain], before[~inside & plain])


def test_the_primary_has_a_say_in_the_boxes_where_it_has_a_weight() -> None:
    def scores_of(probabilities: list[list[float]]) -> Tensor:
        return torch.tensor(probabilities).log().T[:, None]  # (C, 1, W), softmax gives them back

    # background, skin, eyes, lips, inner mouth of four pixels; then background, eyes
    primary = scores_of(
        [[0.02, 0.06, 0.9, 0.01, 0.01], [0.02, 0.86, 0.1, 0.01, 0.01],
         [0.02, 0.9, 0.06, 0.01, 0.01], [0.02, 0.06, 0.9, 0.01, 0.01]]
    )  # fmt: skip
    eyes = Zoom(
        "eyes", Box(0, 0, 4, 1), scores_of([[0.7, 0.3], [0.3, 0.7], [0.2, 0.8], [0.9, 0.1]])
    )
    frame = Frame(primary, blank(1, 4), Box(0, 0, 4, 1), [eyes])
    # odds of an eye at 0.4: (3/7)^0.6 · 9^0.4 = 1.449, (7/3)^0.6 / 9^0.4 = 0.690, 0.764, 0.644
    for weight, expected in ((0.0, [1, 2, 2, 1]), (0.4, [2, 1, 1, 1]), (1.0, [2, 1, 1, 2])):
        labels, probabilities = stitch(frame, 1.0, True, primary_weight=weight)
        assert labels.tolist() == [expected]
        assert probabilities is not None
        both = zip((0.3, 0.7, 0.8, 0.1), (0.9, 0.1, 0.06, 0.9), strict=True)
        odds = [
            (own / (1 - own)) ** (1 - weight) * (first / (1 - first)) ** weight
            for own, first in both
        ]
        shares = [odd / (1 + odd) for odd in odds]
        torch.testing.assert_close(probabilities[2, 0], torch.tensor(shares), rtol=0, atol=1e-3)
        assert stitch(frame, 1.0, False, primary_weight=weight)[0].equal(labels)
