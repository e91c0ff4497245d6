"""Rows of clips that follow each other at the places of batches."""

import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from facemask.boxes import Box, steady
from facemask.data import FaceMaskDataModule
from facemask.data.augment.still_motion import StillMotion
from facemask.data.augment.transforms import ClipTransform
from facemask.data.loaders import Shares
from facemask.data.rows import RowSampler
from facemask.data.vw300_mask import Frame, cut_clips, rows_of
from facemask.errors import InputError

ROWS = [range(0, 3), range(3, 5), range(5, 12), range(12, 13), range(13, 20)]


class Recorder(ClipTransform):
    """Keeps the seeds it is called with."""

    def __init__(self) -> None:
        super().__init__([])
        self.seeds: list[int] = []

    def __call__(self, images: Any, masks: Any, seed: int) -> Any:  # noqa: ANN401
        self.seeds.append(seed)
        return list(images), list(masks)


def make(root: Path, **options: object) -> FaceMaskDataModule:
    settings = {"root": str(root), "size": 32, "num_workers": 0, "clips_in_a_row": 3, **options}
    data = FaceMaskDataModule(**settings)  # type: ignore[arg-type]
    data.setup("fit")
    return data


def frames(video: str, numbers: range) -> list[Frame]:
    return [Frame(video, number, Path(f"{video}_{number:06d}.jpg"), None) for number in numbers]


def test_rows_by_hand() -> None:
    # a second ends after 30: its clips are 21-25, 26-30; then 31-35 and the short 36-37
    first = frames("a", range(21, 38))
    other = frames("b", range(38, 43))  # of another video, though its number would go on
    gap = frames("b", range(61, 71))  # two clips after a gap
    clips = cut_clips([*first, *other, *gap], 5)
    assert [c[0].number for c in clips] == [21, 26, 31, 36, 38, 61, 66]
    assert rows_of(clips, 9, 5) == [range(0, 4), range(4, 5), range(5, 7)]
    assert rows_of(clips, 3, 5) == [range(0, 3), range(3, 4), range(4, 5), range(5, 7)]
    # nothing goes on from a padded clip: 4 frames of 7, then the next second
    clips = cut_clips(frames("a", range(20, 40)), 7)
    assert [len(c) for c in clips] == [7, 4, 7, 2]
    assert rows_of(clips, 9, 7) == [range(0, 2), range(2, 4)]
    # nor from a still that was made a clip
    one, two = frames("a", range(1, 3))
    assert rows_of([(one,) * 5, (two,) * 5], 9, 5) == [range(0, 1), range(1, 2)]
    assert rows_of([], 9, 5) == []


@pytest.mark.parametrize(("batch_size", "replicas"), [(1, 1), (2, 1), (3, 1), (2, 2), (1, 3)])
def test_each_place_goes_through_rows(batch_size: int, replicas: int) -> None:
    starts = {row.start for row in ROWS}
    orders = []
    for epoch in (0, 1, 0):
        seen: list[int] = []
        for rank in range(replicas):
            sampler = RowSampler(ROWS, batch_size, 7, replicas, rank)
            sampler.set_epoch(epoch)
            keys = list(sampler)
            assert {number for number, _ in keys} == {epoch}
            assert len(keys) == len(sampler) == 20 // (replicas * batch_size) * batch_size
            for place in range(batch_size):
                line = [index for _, index in keys[place::batch_size]]
                for before, index in pairwise(line):
                    assert index == before + 1 or index in starts
                    if index != before + 1:  # the row before ended there
                        assert before + 1 in starts | {20}
            seen += [index for _, index in keys]
        assert len(set(seen)) == len(seen) > 20 - replicas * batch_size
        orders.append(seen)
    assert orders[0] == orders[2] != orders[1]


def test_resumed_in_the_middle_of_an_epoch() -> None:
    whole, rest = (RowSampler(ROWS, 2, 7) for _ in range(2))
    rest.skip, rest.first_epoch = 6, 1
    for sampler in (whole, rest):
        sampler.set_epoch(1)
    assert list(rest) == list(whole)[6:]


def test_shares_keep_rows_together() -> None:
    rows = [range(0, 2), range(2, 5), range(5, 9), range(9, 13)]  # the last two of a second set
    shares = Shares([5, 8], [1.0, 0.5], seed=3, rows=rows)
    epochs = [shares.epoch(epoch) for epoch in range(4)]
    for number, pairs in enumerate(epochs):
        assert sorted(index for _, index in pairs[:5]) == list(range(5))
        assert {p for p, _ in pairs[5:]} == {number // 2}
        lines = [index for _, index in pairs]
        breaks = [b for a, b in pairwise(lines) if b != a + 1]
        assert set(breaks) <= {0, 2, 5, 9}
    for two in (epochs[0][5:] + epochs[1][5:], epochs[2][5:] + epochs[3][5:]):
        assert sorted(index for _, index in two) == list(range(5, 13))
    sampler = RowSampler(rows, 3, 0, shares=shares)
    sampler.set_epoch(1)
    assert len(sampler) == 9
    assert set(sampler) == set(epochs[1])


def test_batches_say_what_goes_on(mask_root: Path) -> None:
    data = make(mask_root, batch_size=2)
    clips = data.datasets["train"]
    assert max(map(len, clips.rows)) == 3
    names = [[frame.image.stem for frame in clip] for clip in clips.clips]
    last: list[list[str]] = [[], []]
    went_on = 0
    for batch in data.train_dataloader():
        for place, (number, before) in enumerate(batch["numbers"].tolist()):
            assert batch["names"][place] == names[number]
            if before != -1 and last[place] == names[before]:
                went_on += 1
                video, frame = last[place][-1].rsplit("_", 1)
                assert batch["names"][place][0] == f"{video}_{int(frame) + 1:06d}"
        last = batch["names"]
    assert went_on >= 2  # of seven clips in rows of three
    assert all(int(b) == -1 for b in next(iter(data.val_dataloader()))["numbers"][:, 1])
    single = make(mask_root, clips_in_a_row=None)
    assert all(int(b) == -1 for b in next(iter(single.train_dataloader()))["numbers"][:, 1])
    assert not single.datasets["train"].rows


def test_a_row_is_augmented_alike(mask_root: Path) -> None:
    for in_a_row in (3, None):
        recorder = Recorder()
        data = make(mask_root, clips_in_a_row=in_a_row, augmentation=recorder, batch_size=1)
        list(data.train_dataloader())
        clips = data.datasets["train"]
        rows = 0 if in_a_row is None else len(clips.rows)
        assert len(recorder.seeds) == len(clips)
        assert len(set(recorder.seeds)) == (rows or len(clips))


def test_boxes_of_a_row_stay(mask_root: Path) -> None:
    data = make(mask_root, region="mouth", clips_in_a_row=20)
    clips = data.datasets["train"]
    row = max(clips.rows, key=len)
    boxes = [tuple(clips[1, index]["boxes"].tolist()) for index in row]
    assert len(row) > 4
    assert len(set(boxes)) == 1  # the face moves and grows by a few pixels only
    single = make(mask_root, region="mouth", clips_in_a_row=None).datasets["train"]
    assert len({tuple(single[1, index]["boxes"].tolist()) for index in row}) == len(row)
    known = Box(0, 0, 10, 10)
    assert steady(known, Box(1, 0, 11, 10)) == known  # IoU 9 / 11
    assert steady(known, Box(2, 0, 12, 10)) == Box(2, 0, 12, 10)  # 8 / 12


def test_stills_are_rows_of_their_own(mask_root: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(mask_root, tmp_path / "data"))
    path = root / "data_splits/split_1/train_per10.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:10], lines[12]]))  # two clips, and a single frame
    data = make(root, still_motion=StillMotion(), batch_size=1)
    clips = data.datasets["train"]
    assert [len(clip) for clip in clips.clips] == [5, 5, 5]
    assert clips.rows == [range(0, 2), range(2, 3)]
    assert torch.equal(clips.numbers(1), torch.tensor([1, 0]))


def test_bad_inputs(mask_root: Path) -> None:
    with pytest.raises(InputError, match=r"data\.clips_in_a_row is 0, expected at least 1"):
        make(mask_root, clips_in_a_row=0)
    with pytest.raises(InputError, match=r"clips_in_a_row is 3, but data\.clip_length is null"):
        make(mask_root, clip_length=None)
    data = make(mask_root, batch_size=500)
    with pytest.raises(InputError, match=r"clips, but .* processes hold 500: give a smaller"):
        data.train_dataloader()
