"""Sides of a data set that grows, and of few subjects."""

import shutil
from pathlib import Path

import pytest

from facemask.data.prepare import prepare
from facemask.data.split import make_split, sides_of_split, split_by_subject
from facemask.errors import InputError


def seconds(*numbers: int) -> list[int]:
    """The first and last frame of each of some seconds."""
    return [frame for n in numbers for frame in (30 * n + 1, 30 * n + 30)]


def sides(frames: dict[str, list[int]], **options: object) -> dict[str, list[str | None]]:
    subject_of = {video: video.rstrip("0123456789") for video in frames}
    side_of, _ = make_split(frames, subject_of, 0, options.get("before", {}))  # type: ignore[arg-type]
    return {video: [side_of(video, n) for n in numbers] for video, numbers in frames.items()}


def test_two_subjects_are_split_by_time() -> None:
    found = sides({"a": seconds(*range(10)), "b": seconds(3, 4, 8, 9, 12)})
    # of ten: two to test, a gap, two to validate, a gap; of five: one each
    assert found["a"][::2] == ["train"] * 4 + [None] + ["val"] * 2 + [None] + ["test"] * 2
    assert found["a"][::2] == found["a"][1::2]  # a second is on one side
    assert found["b"][::2] == ["train", None, "val", None, "test"]


def test_a_short_video_is_trained_on() -> None:
    found = sides({"a": seconds(*range(5)), "b": seconds(0, 1, 2, 3)})
    assert set(found["b"]) == {"train"}
    frames = {"a": seconds(0, 1), "b": seconds(0, 1, 2, 3)}
    side_of, told = make_split(frames, {"a": "a", "b": "b"}, 0, {})
    assert {side_of(video, n) for video in frames for n in frames[video]} == {"train"}
    assert told is not None
    assert told.startswith("The sides val and test are empty")
    assert "no video has 75 frames in use" in told
    assert "--fraction 1" in told


def test_short_videos_are_split_within_their_seconds_where_none_is_longer() -> None:
    frames = {"a": list(range(1, 101)), "b": list(range(31, 105)), "c": list(range(11, 86))}
    side_of, told = make_split(frames, {"a": "a", "b": "b", "c": "b"}, 0, {})
    found = {video: [side_of(video, n) for n in numbers] for video, numbers in frames.items()}
    # of 100: 15 to test, 15 left out, 15 to validate, 15 left out, 40 to train on
    gap = [None] * 15
    assert found["a"] == ["train"] * 40 + gap + ["val"] * 15 + gap + ["test"] * 15
    assert set(found["b"]) == {"train"}  # 74 frames
    assert [found["c"].count(side) for side in ("train", None, "val", "test")] == [23, 30, 11, 11]
    assert told is not None
    assert "no video has 5 seconds in use: those of 75 frames and more are split" in told
    longer = {**frames, "d": seconds(0, 1, 2, 3, 4)}
    side_of, told = make_split(longer, dict.fromkeys(longer, "a"), 0, {})
    assert {side_of("a", n) for n in frames["a"]} == {"train"}
    assert told is not None
    assert "each video of 5 seconds and more is split by time" in told


def test_what_is_told_of_few_subjects() -> None:
    frames = {name: seconds(*range(6)) for name in ("a", "b")}
    _, told = make_split(frames, {"a": "a", "b": "b"}, 0, {})
    assert told is not None
    assert told.startswith("Fewer than 3 subjects: each video of 5 seconds and more is split")
    assert "not about others" in told


def test_a_split_is_kept_and_extended() -> None:
    few = {f"v{n}": f"person {n}" for n in range(12)}
    frames = {video: [1, 2] for video in few}
    side_of, told = make_split(frames, few, 3, {})
    assert told is None
    before = {video: {str(side_of(video, 1))} for video in few}
    more = few | {f"w{n}": f"newcomer {n}" for n in range(12)}
    frames |= {video: [1] for video in more}
    side_of, told = make_split(frames, more, 4, before)  # another seed moves nobody
    assert {video: {side_of(video, 1)} for video in few} == before
    assert told is not None
    assert "newcomer 0 (" in told
    count = [side_of(video, 1) for video in more]
    assert [count.count(side) for side in ("train", "val", "test")] == [19, 2, 3]  # of 93 : 9 : 12


def test_the_third_subject_of_an_unfinished_split_goes_to_the_empty_side() -> None:
    before = {"a": {"train"}, "b": {"test"}}
    assert sides({"a": [1], "b": [1], "c": [1]}, before=before) == {
        "a": ["train"], "b": ["test"], "c": ["val"],
    }  # fmt: skip


def test_a_split_by_time_stays_one() -> None:
    frames = {name: seconds(*range(5)) for name in ("a", "b", "c")}
    before = {"a": {"train", "val", "test"}, "b": {"train", "val", "test"}}
    found = sides(frames, before=before)
    assert found["c"][::2] == ["train", None, "val", None, "test"]
    assert set(map(str, sides(frames)["a"])) == {sides(frames)["a"][0]}  # drawn anew


def test_a_subject_on_two_sides() -> None:
    before = {"a1": {"train"}, "a2": {"test"}, "b": {"val"}}
    frames = {"a1": [1], "a2": [1], "b": [1], "c": [1]}
    with pytest.raises(InputError, match=r"a2: its subject 'a' is on two sides .* test and train"):
        sides(frames, before=before)


def test_missing_videos_keep_the_place_of_their_subject() -> None:
    before = {"a1": {"test"}, "b": {"val"}, "c": {"train"}, "d": {"train"}}
    subject_of = {video: video[0] for video in ("a1", "a2", "b", "c", "d")}
    side_of, told = make_split({"a2": [1], "b": [1], "c": [1]}, subject_of, 0, before)
    assert [side_of(video, 1) for video in ("a2", "b", "c")] == ["test", "val", "train"]
    assert told is None
    # with two people left the split by subject stays: a person's seconds are not divided
    side_of, told = make_split({"b": [1], "c": [1]}, subject_of, 0, before)
    assert [side_of(video, 1) for video in ("b", "c")] == ["val", "train"]
    assert told == "No subject is left for test: --resplit draws the split anew."


def test_kept_subjects_count_and_strangers_do_not() -> None:
    videos = {f"{n}": f"person {n}" for n in range(10)}
    kept = {"person 0": "test", "person 1": "val", "somebody else": "val"}
    drawn = split_by_subject(videos, kept=kept)
    assert list(drawn.values()).count("train") == 8
    assert "somebody else" not in drawn


def test_reading_a_split(tmp_path: Path) -> None:
    assert sides_of_split(tmp_path, "split_1") == {}
    folder = tmp_path / "data_splits" / "split_1"
    folder.mkdir(parents=True)
    line = "/images_orig/{0}_000001.jpg /labels_orig/{0}_000001.png\n"
    (folder / "train_per10.txt").write_text(line.format("my clip") + line.format("b"))
    (folder / "test_per10.txt").write_text("\n" + line.format("b"))
    assert sides_of_split(tmp_path, "split_1") == {"my clip": {"train"}, "b": {"train", "test"}}


def test_a_video_that_comes_back_has_its_place_in_the_split(
    vw300_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    prepare(vw300_root, out, fraction=0.1, workers=1)
    first = sides_of_split(out, "split_1")
    [side] = first["002"]
    some = tmp_path / "some"
    shutil.copytree(vw300_root, some, ignore=shutil.ignore_patterns("002"))
    for _ in range(2):  # remembered over any number of calls
        capsys.readouterr()
        prepare(some, out, fraction=0.1, workers=1)
        said = " ".join(capsys.readouterr().out.split())
        assert f"keep their side for when they come back: 1 (002: {side})." in said
        assert sides_of_split(out, "split_1") == {v: s for v, s in first.items() if v != "002"}
    prepare(vw300_root, out, fraction=0.1, workers=1)
    assert sides_of_split(out, "split_1") == first
    assert not (out / ".prepare/missing.csv").exists()
