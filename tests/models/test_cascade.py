"""The whole cascade, its networks replaced by exact oracles."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from facemask.boxes import Box
from facemask.classes import BACKGROUND, EYES, INNER_MOUTH, LIPS, SKIN
from facemask.errors import InputError
from facemask.metrics import MaskIoU, labels_at_size
from facemask.models import FCN, Cascade, CascadeOutput, CascadeSettings, ConvLSTMFCN
from facemask.models.cell import CellActivation
from facemask.models.fcn import upsample_bilinear
from facemask.resample import crop_and_resize, paste_back, resize_image
from tests.models.oracles import Oracle, all_background, check_truth, make_clip, oracles, without


@pytest.mark.parametrize(
    "size", [(300, 300), (257, 311), (101, 97), (480, 401), (560, 700), (63, 64)]
)
@pytest.mark.parametrize("each_eye", [False, True])
def test_oracles_return_the_truth(size: tuple[int, int], each_eye: bool) -> None:
    clips, truth = zip(*[make_clip(*size, seed=seed) for seed in (1, 2)], strict=True)
    output = oracles(options=CascadeSettings(refine_each_eye=each_eye))(clips)
    assert all(found.all() for found in output.found.values())
    check_truth(output, list(truth))


def thicken(class_id: int, reach: int) -> Callable[[Tensor], Tensor]:
    """Scores that see a class too large."""

    def edit(scores: Tensor) -> Tensor:
        scores = scores.clone()
        plane = scores[:, :, class_id]
        scores[:, :, class_id] = 0.5 + nn.functional.max_pool2d(plane, 2 * reach + 1, 1, reach)
        return scores

    return edit


def test_specialists_mend_a_bad_primary() -> None:
    clip, truth = make_clip(300, 320)
    worse = thicken(EYES, 6)
    alone = Cascade(Oracle("face", worse))([clip])
    iou = MaskIoU()
    for label, mask in zip(alone.labels[0], truth, strict=True):
        iou.update(label, mask)
    assert iou.compute()["iou_eyes"] < 0.6
    check_truth(oracles(worse)([clip]), [truth])
    # each of them mends its own part only
    eyes_only = Cascade(Oracle("face", thicken(LIPS, 5)), Oracle("eyes"))([clip])
    mouth_only = Cascade(Oracle("face", thicken(LIPS, 5)), mouth=Oracle("mouth"))([clip])
    check_truth(mouth_only, [truth])
    assert set(eyes_only.boxes) == {"eyes"}
    assert set(mouth_only.boxes) == {"mouth"}
    assert torch.equal(eyes_only.labels[0][0] == EYES, truth[0] == EYES)
    assert (eyes_only.labels[0][0] == LIPS).sum() > 1.5 * (truth[0] == LIPS).sum()


def test_regions_at_the_same_time_and_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    clip, _ = make_clip(401, 275)
    labels = []
    for threads in (1, 2):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        labels.append(oracles()([clip]).labels[0])
    assert all(map(torch.equal, *labels))


@pytest.mark.parametrize("size", [(300, 300), (401, 275)])
def test_specialists_that_see_nothing_leave_skin_and_no_hole(size: tuple[int, int]) -> None:
    clip, _ = make_clip(*size)
    primary = Cascade(Oracle("face"))([clip]).labels[0]
    both = oracles(eyes=all_background, mouth=all_background)([clip]).labels[0]
    eyes_only = oracles(eyes=all_background)([clip]).labels[0]
    for before, after, without_eyes in zip(primary, both, eyes_only, strict=True):
        assert (before >= EYES).any()
        assert torch.equal(after == BACKGROUND, before == BACKGROUND)
        assert torch.equal(after == SKIN, before != BACKGROUND)
        assert torch.equal(without_eyes == BACKGROUND, before == BACKGROUND)
        assert not (without_eyes == EYES).any()
        assert (without_eyes == LIPS).any()


@pytest.mark.parametrize(("lost", "name"), [((EYES,), "eyes"), ((LIPS, INNER_MOUTH), "mouth")])
def test_what_the_primary_does_not_find_is_flagged(lost: tuple[int, ...], name: str) -> None:
    clips = [make_clip(300, 280, seed=seed)[0] for seed in (3, 4)]
    edit = without(*lost)

    def second_clip_only(scores: Tensor) -> Tensor:
        return torch.cat([scores[:1], edit(scores[1:])])

    cascade = oracles(second_clip_only, all_background, all_background)
    output = cascade(clips)
    other = "mouth" if name == "eyes" else "eyes"
    assert output.found[name].tolist() == [True, False]
    assert output.found[other].tolist() == [True, True]
    assert output.boxes[name].isnan().all(dim=1).tolist() == [False, True]
    assert not output.boxes[other].isnan().any()
    # a stray eye is not enough to find eyes, and then it stays as the primary has it
    expected = Cascade(Oracle("face", edit))([clips[1]]).labels[0]
    for label, primary in zip(output.labels[1], expected, strict=True):
        kept = torch.isin(primary, torch.tensor([BACKGROUND, *lost]))
        assert torch.equal(label[kept], primary[kept])
        assert (label[~kept] == SKIN).all()


def test_stray_pixels_drag_no_box_away_and_become_skin() -> None:
    clip, truth = make_clip(300, 300)
    chin = truth[0][265].nonzero().flatten()
    middle = int(chin[len(chin) // 2])
    y, x = 265 * 320 // 299, middle * 320 // 300  # where the primary sees it

    def stray(scores: Tensor) -> Tensor:
        scores = scores.clone()
        scores[:, :, EYES, y - 3 : y + 4, x - 2 : x + 3] = 9  # in every frame
        scores[:, 2, EYES, 96:103, 4:11] = 9  # outside the face, in one
        scores[:, :2, LIPS, 110:115, 200:203] = 9  # beside an eye
        return scores

    primary = Cascade(Oracle("face", stray))([clip]).labels[0]
    assert primary[0][265, middle] == EYES
    assert primary[2][94, 7] == EYES
    clean, output = oracles()([clip]), oracles(stray)([clip])
    for name in ("eyes", "mouth"):
        torch.testing.assert_close(output.boxes[name], clean.boxes[name], rtol=0, atol=0)
    assert output.labels[0][0][265, middle] == SKIN
    assert output.labels[0][2][94, 7] == BACKGROUND  # the primary scores it above skin
    check_truth(output, [truth])


def test_only_the_face_holds_eyes() -> None:
    clip, _ = make_clip(300, 300)

    def everywhere(scores: Tensor) -> Tensor:
        return all_background(scores).flip(-3)  # eyes in the whole box

    wide = CascadeSettings(eyes_margin=3.0)
    output = Cascade(Oracle("face"), Oracle("eyes", everywhere), settings=wide)([clip])
    left, _, right, _ = output.boxes["eyes"][0].tolist()
    assert left < 0
    assert right > 1
    label, mask = output.labels[0][0], Cascade(Oracle("face"))([clip]).labels[0][0]
    rows, columns = (mask > 0).any(1).nonzero(), (mask > 0).any(0).nonzero()
    face = (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
    # inside the face's box the specialist's eyes replace skin and background
    mouth = mask[face] > EYES
    assert (label[face][~mouth] == EYES).all()
    assert torch.equal(label[face][mouth], mask[face][mouth])  # no mouth network: it stays
    # beyond it the primary's mask is kept, though the box is wider
    assert not label[:, :10].any()
    assert not label[:, -5:].any()
    assert not label[:50].any()


def test_holes_in_a_mouth_are_filled() -> None:
    clip, _ = make_clip(300, 300, seed=5)

    def no_inner_mouth(scores: Tensor) -> Tensor:
        scores = scores.clone()
        scores[..., 0, :, :] += (scores[..., 2, :, :] > scores[..., 1, :, :]) * 2  # background
        return scores

    truth = make_clip(300, 300, seed=5)[1][0]
    label = oracles(mouth=no_inner_mouth)([clip]).labels[0][0]
    assert (truth == INNER_MOUTH).sum() > 50
    assert (label[truth == INNER_MOUTH] != SKIN).all()


@pytest.mark.parametrize(("activation", "temperature"), [("linear", 1.0), ("tanh", 0.1)])
def test_primary_alone_is_the_primary(activation: CellActivation, temperature: float) -> None:
    torch.manual_seed(0)
    network = ConvLSTMFCN("mobilenetv3_small_050", cell_activation=activation).eval()
    clip, _ = make_clip(120, 131, frames=3)
    with torch.inference_mode():
        output = Cascade(network, settings=CascadeSettings(size=64))([clip], probabilities=True)
        # as MaskModule and the loaders do it
        small = [
            torch.from_numpy(resize_image(frame.permute(1, 2, 0).numpy(), 64, 64)) for frame in clip
        ]
        images = torch.stack(small).permute(0, 3, 1, 2)[None]
        scores, _ = network((images.float() / 255 - network.mean) / network.std)
    assert output.boxes == {}
    assert output.found == {}
    assert output.probabilities is not None
    for label, mine, of_frame in zip(
        output.labels[0], output.probabilities[0], scores[0], strict=True
    ):
        assert torch.equal(label, labels_at_size(of_frame, *label.shape))
        large = nn.functional.interpolate(of_frame[None], label.shape, mode="bilinear")[0]
        torch.testing.assert_close(mine, (large / temperature).softmax(dim=0), rtol=0, atol=1e-3)


def test_probabilities_agree_with_the_labels() -> None:
    torch.manual_seed(0)
    clip, _ = make_clip(150, 170)

    def noisy(scores: Tensor) -> Tensor:
        low = torch.randn(*scores.shape[:3], 9, 9)
        return scores + upsample_bilinear(low, (scores.shape[-2], scores.shape[-1]))

    for temperature in (0.003, 0.1, 5.0):
        cascade = oracles(noisy, noisy, noisy, CascadeSettings(temperature=temperature))
        output = cascade([clip], probabilities=True)
        assert output.found["eyes"].all()
        assert output.found["mouth"].all()
        assert output.probabilities is not None
        for label, values in zip(output.labels[0], output.probabilities[0], strict=True):
            assert values.dtype == torch.float32
            assert values.shape == (5, *label.shape)
            assert values.min() >= 0
            torch.testing.assert_close(values.sum(dim=0), torch.ones(label.shape))
            assert torch.equal(values.argmax(dim=0).byte(), label)
    sure = oracles(options=CascadeSettings(temperature=0.1))([clip], probabilities=True)
    assert sure.probabilities is not None
    inside = sure.probabilities[0][0][EYES][sure.labels[0][0] == EYES]
    assert inside.median() > 0.99


def test_a_batch_equals_its_clips() -> None:
    sizes = [(200, 190, 3), (151, 160, 5), (90, 99, 3), (220, 201, 1), (130, 140, 5)]
    clips = [make_clip(h, w, frames, seed=i)[0] for i, (h, w, frames) in enumerate(sizes)]
    cascade = oracles(options=CascadeSettings(max_frames=6))
    together = cascade(clips, probabilities=True)
    assert together.probabilities is not None
    for b, clip in enumerate(clips):
        alone = cascade([clip], probabilities=True)
        assert alone.probabilities is not None
        for name in ("eyes", "mouth"):
            torch.testing.assert_close(together.boxes[name][b], alone.boxes[name][0])
        for label, other in zip(together.labels[b], alone.labels[0], strict=True):
            assert torch.equal(label, other)
        torch.testing.assert_close(together.probabilities[b], alone.probabilities[0])
    for network in cascade.networks().values():
        assert isinstance(network, Oracle)
        assert max(shape[0] * shape[1] for shape in network.seen) <= 6


def test_a_batch_of_real_networks_equals_its_clips() -> None:
    torch.manual_seed(0)
    eyes, mouth = FCN("mobilenetv3_small_050", 2), FCN("mobilenetv3_small_050", 3)
    # random weights find no face, so a primary that knows; the others are what they are
    cascade = Cascade(Oracle("face"), eyes, mouth, CascadeSettings(size=64)).eval()
    clips = torch.stack([torch.stack(make_clip(96, 96, 1, seed)[0]) for seed in (1, 2, 3)])
    with torch.inference_mode():
        together = cascade(clips)
        alone = [cascade([clip]).labels[0][0] for clip in clips]
    for label, other in zip(together.labels, alone, strict=True):
        assert (label[0] != other).float().mean() < 1e-3  # convolutions round by batch size


class Coarse(nn.Module):
    """Oracle with the arithmetic of a network: stride 4, one convolution, bilinear up-sampling."""

    def __init__(self, region: str) -> None:
        super().__init__()
        weights = {
            "face": [[-1, -1, -1], [1, -1, -1], [1, 1, -1], [1, -1, 1], [1, 1, 1]],
            "eyes": [[0, -1, 1], [0, 1, -1]],
            "mouth": [[0, 0, -2], [0, -1, 1], [0, 1, 1]],
        }[region]
        self.num_classes = len(weights)
        self.classifier = nn.Conv2d(3, len(weights), 1, bias=False)
        self.classifier.weight.data = torch.tensor(weights).float()[:, :, None, None]
        self.register_buffer("mean", torch.full((3, 1, 1), 0.5))
        self.register_buffer("std", torch.ones(3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        small = nn.functional.avg_pool2d(images.flatten(0, 1), 4)
        scores = self.classifier(small)
        size = (images.shape[-2], images.shape[-1])
        scores = upsample_bilinear(scores, size)
        return scores.view(*images.shape[:2], *scores.shape[1:])


def test_bfloat16_changes_few_labels() -> None:
    clips = [make_clip(280, 300, seed=seed)[0] for seed in (0, 1)]
    cascade = Cascade(Coarse("face"), Coarse("eyes"), Coarse("mouth"))
    with torch.inference_mode():
        exact = cascade(clips)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = cascade(clips)
    assert exact.found["eyes"].all()
    pairs = [
        pair
        for clip in zip(exact.labels, rounded.labels, strict=True)
        for pair in zip(*clip, strict=True)
    ]
    different = sum(int((one != other).sum()) for one, other in pairs)
    assert different <= 0.005 * sum(one.numel() for one, _ in pairs)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU")
def test_on_a_gpu_as_on_the_cpu() -> None:
    clips, truth = zip(*[make_clip(280, 300, seed=seed) for seed in (0, 1)], strict=True)
    cascade = oracles()
    here = cascade(clips)
    there = cascade.cuda()([[frame.cuda() for frame in clip] for clip in clips], True)
    assert there.boxes["eyes"].is_cuda
    check_truth(
        CascadeOutput([[f.cpu() for f in c] for c in there.labels], {}, {}, None), list(truth)
    )
    for one, other in zip(here.labels, there.labels, strict=True):
        for label, same in zip(one, other, strict=True):
            assert same.is_cuda
            assert (label != same.cpu()).float().mean() < 0.001


edges = st.floats(-0.4, 0.6)
sides = st.floats(0.25, 1.2)


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(17, 90), width=st.integers(17, 90),
    left=edges, top=edges, side_x=sides, side_y=sides, size=st.integers(24, 96),
)  # fmt: skip
def test_zooming_and_pasting_moves_no_pixel_by_half_of_one(
    height: int, width: int, left: float, top: float, side_x: float, side_y: float, size: int
) -> None:
    box = Box(left, top, left + side_x, top + side_y).in_pixels(height, width)
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    image = torch.stack([x, y, torch.ones_like(x)]).double()
    zoomed = crop_and_resize(image, box, (size, size))
    pasted, (rows, columns) = paste_back(zoomed, box, (height, width))
    # where the zoom is coarser than the image, one pixel of the zoom is what it can know, and the
    # antialiasing filter is cut off at the box's edge
    coarse_x, coarse_y = (box.right - box.left) / size, (box.bottom - box.top) / size
    most_x, most_y = (0.5 if coarse <= 1 else 0.75 * coarse for coarse in (coarse_x, coarse_y))
    inside = pasted[2] > 0.999  # pixels that mix with what lies outside the image know less
    moved = (pasted - image[:, rows, columns]).abs()
    assert (moved[0][inside] <= most_x).all()
    assert (moved[1][inside] <= most_y).all()


@settings(max_examples=12, deadline=None)
@given(
    height=st.integers(90, 340), width=st.integers(90, 340), frames=st.integers(1, 3),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_oracles_return_the_truth_at_any_size(
    height: int, width: int, frames: int, seed: int
) -> None:
    clip, truth = make_clip(height, width, frames, seed)
    output = oracles(options=CascadeSettings(size=160))([clip])
    for label, mask in zip(output.labels[0], truth, strict=True):
        assert (label != mask).float().mean() < 0.002  # inner mouths of 3 pixels among them


def test_wrong_networks_and_clips() -> None:
    with pytest.raises(InputError, match=r"The eyes network scores 5 classes, expected 2 \(backg"):
        Cascade(Oracle("face"), Oracle("face"))
    with pytest.raises(InputError, match="The primary network scores 2 classes, expected 5"):
        Cascade(Oracle("eyes"))
    with pytest.raises(InputError, match="The mouth network scores None classes"):
        Cascade(Oracle("face"), mouth=nn.Identity())
    cascade = oracles()
    good = make_clip(40, 40, 2)[0]
    with pytest.raises(InputError, match="Clip 1 has no frames"):
        cascade([good, []])
    with pytest.raises(InputError, match=r"Frame 1 of clip 0 is float32 \(3, 5, 5\): give clips"):
        cascade([[good[0], torch.zeros(3, 5, 5)]])
    with pytest.raises(InputError, match=r"is uint8 \(4, 5, 5\)"):
        cascade(torch.zeros(1, 2, 4, 5, 5, dtype=torch.uint8))
    assert cascade([]).labels == []
    assert cascade([]).boxes["eyes"].shape == (0, 4)


@pytest.mark.parametrize("name", ["primary", "eyes", "mouth"])
def test_scores_that_are_not_finite_name_their_network(name: str) -> None:
    def broken(scores: Tensor) -> Tensor:
        return scores.masked_fill(scores > 0.4, float("nan"))

    edits = [broken if key == name else None for key in ("primary", "eyes", "mouth")]
    cascade = oracles(*edits)  # type: ignore[arg-type]  # three of them
    with pytest.raises(InputError, match=f"The {name} network's scores are not finite"):
        cascade([make_clip(80, 80, 2)[0]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size is 0: give a whole number"),
        ({"max_frames": 2.5}, "max_frames is 2.5"),
        ({"primary_weight": 1.2}, "primary_weight is 1.2: give 0 to 1"),
        ({"temperature": 0.0}, "temperature is 0.0: give a number above 0"),
        ({"mouth_margin": 0.5}, "mouth_margin is 0.5: give a number, 1 or more"),
        ({"eyes_margin": float("nan")}, "eyes_margin is nan"),
        ({"each_eye_margin": "2"}, "each_eye_margin is '2'"),
    ],
)
def test_wrong_settings(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        CascadeSettings(**options)  # type: ignore[arg-type]
