"""Synthetic videos: the same bits every time, and points that fit the picture."""

import csv
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from facemask.classes import EYES, INNER_MOUTH, LIPS, SKIN
from facemask.data.landmarks import read_pts
from facemask.data.masks import landmarks_to_mask
from facemask.data.synthetic import SyntheticVideo, render_video, synthesize
from facemask.data.synthetic import writer as writer_module
from facemask.data.vw300 import find_videos
from facemask.errors import InputError
from facemask.files import temporary_name
from tests.files import number_of_nobody

Frame = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]
Video = list[tuple[Frame, Points]]

SMALL: dict[str, Any] = {"seconds": 0.1, "width": 128, "height": 96, "workers": 1}


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def decode(path: Path) -> list[Frame]:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (got := capture.read())[0]:
        frames.append(np.asarray(got[1][..., ::-1], np.uint8))
    return frames


def height_of(points: Points) -> float:
    return float(np.ptp(points[..., 1], axis=-1).mean())


@pytest.fixture(scope="module")
def clean() -> list[tuple[Frame, Points]]:
    """Frames of several people in good light, at the size that is used in earnest."""
    size: dict[str, Any] = {"frames": 90, "width": 400, "height": 320, "fps": 30}
    videos = [SyntheticVideo(0, index, category=1, **size) for index in range(6)]
    return [(video.frame(k), video.points(k)) for video in videos for k in (0, 36, 72)]


@pytest.fixture(scope="module")
def tracks() -> dict[int, npt.NDArray[np.float64]]:
    """Landmarks (3 videos, 90 frames, 68, 2) of each category in frames of 400 x 320."""
    size: dict[str, Any] = {"frames": 90, "width": 400, "height": 320, "fps": 30}
    return {
        category: np.array(
            [
                [video.points(k) for k in range(90)]
                for index in range(3)
                for video in [SyntheticVideo(1, index, category=category, **size)]
            ]
        )
        for category in (1, 2, 3)
    }


def test_same_seed_same_bits() -> None:
    for category in (1, 2, 3):
        options: dict[str, Any] = {"category": category, "width": 160, "height": 120}
        first = list(render_video(3, 7, frames=3, **options))
        longer = list(render_video(3, 7, frames=5, **options))
        for (frame, points), (other_frame, other_points) in zip(first, longer, strict=False):
            np.testing.assert_array_equal(frame, other_frame)
            np.testing.assert_array_equal(points, other_points)


def test_other_seed_or_index_is_another_video() -> None:
    options: dict[str, Any] = {"frames": 1, "width": 128, "height": 96}
    keys = [(0, 0), (0, 1), (1, 0)]
    (a, b, c) = (next(render_video(seed, index, **options)) for seed, index in keys)
    for x, y in ((a, b), (a, c), (b, c)):
        assert np.abs(x[0].astype(int) - y[0]).mean() > 5
        assert not np.allclose(x[1], y[1], atol=0.5)


def test_any_number_of_workers_writes_the_same(tmp_path: Path) -> None:
    for workers in (1, 2):
        synthesize(tmp_path / str(workers), videos=3, **{**SMALL, "workers": workers})
    one, two = tree(tmp_path / "1"), tree(tmp_path / "2")
    assert len(one) == 3 * (1 + 3) + 2
    assert one == two


def test_people_differ_in_shape() -> None:
    shapes = []
    for index in range(4):
        _, points = next(render_video(0, index, frames=1, width=128, height=96))
        eyes = np.linalg.norm(points[36:42].mean(axis=0) - points[42:48].mean(axis=0))
        jaw = np.linalg.norm(points[16] - points[0])
        face = np.linalg.norm(points[8] - points[27])
        shapes.append((jaw / eyes, face / eyes))
    for a, b in itertools.combinations(shapes, 2):
        assert np.abs(np.subtract(a, b)).max() > 0.02


@pytest.mark.parametrize("category", [1, 2, 3])
def test_points_are_in_order(tracks: dict[int, npt.NDArray[np.float64]], category: int) -> None:
    points = tracks[category]
    assert np.isfinite(points).all()
    assert ((points >= 0) & (points <= (399, 319))).all(axis=(2, 3)).mean() > 0.9
    eyes, mouth = points[..., 36:48, 1].max(axis=-1), points[..., 48:68, 1].min(axis=-1)
    assert (eyes < mouth).all()
    assert (points[..., 17:27, 1].mean(-1) < points[..., 36:48, 1].mean(-1)).all()
    assert (points[..., 48:60, 1].mean(-1) < points[..., 8, 1]).all()
    assert (points[..., 36:42, 0].max(-1) < points[..., 42:48, 0].min(-1)).all()  # right eye left
    # The jaw encloses eyes and mouth even when the head is turned.
    assert (points[..., 0, 0] < points[..., 36, 0]).all()
    assert (points[..., 45, 0] < points[..., 16, 0]).all()
    assert (points[..., 4, 0] < points[..., 48, 0]).all()
    assert (points[..., 54, 0] < points[..., 12, 0]).all()


@pytest.mark.parametrize("category", [1, 2, 3])
def test_face_fills_its_share_of_the_frame(
    tracks: dict[int, npt.NDArray[np.float64]], category: int
) -> None:
    share = np.ptp(tracks[category][..., 1], axis=-1) / 320
    assert 0.35 < share.mean() < 0.70
    assert share.min() > 0.3


@pytest.mark.parametrize("category", [1, 2, 3])
def test_motion_is_smooth(tracks: dict[int, npt.NDArray[np.float64]], category: int) -> None:
    for points in tracks[category]:
        step = np.linalg.norm(np.diff(points, axis=0), axis=2)
        assert step.max() < 0.11 * height_of(points)
        assert step.mean(axis=1).min() > 0  # never frozen
        jerk = np.linalg.norm(np.diff(points, n=2, axis=0), axis=2)
        assert np.median(jerk) < 0.5 * np.median(step)


def test_everybody_blinks_and_lids_never_cross(
    tracks: dict[int, npt.NDArray[np.float64]],
) -> None:
    for points in np.concatenate(list(tracks.values())):
        for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
            # along the face's own vertical, since the head may tilt
            down = points[:, 8] - points[:, 27]
            down /= np.linalg.norm(down, axis=1, keepdims=True)
            opening = ((points[:, lower] - points[:, upper]) * down).sum(axis=1)
            assert opening.min() > 0
            assert opening.min() < 0.12 * opening.max()
            assert np.median(opening) > 0.3 * opening.max()


def test_people_speak(tracks: dict[int, npt.NDArray[np.float64]]) -> None:
    spoken = 0
    for points in np.concatenate(list(tracks.values())):
        gap = np.linalg.norm(points[:, 66] - points[:, 62], axis=1) / height_of(points)
        assert np.ptp(gap) > 0.02
        turns = np.diff(np.sign(np.diff(gap)))
        spoken += int(np.ptp(gap) > 0.06 and np.count_nonzero(turns) >= 6)
    assert spoken >= 3


def separation(frame: Frame, region: npt.NDArray[np.bool_]) -> float:
    """How well a region's outline separates colours: mean distance across a 2-pixel rim."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    mask = region.astype(np.uint8)
    outside = (cv2.dilate(mask, disc) > 0) & ~region
    inside = region & (cv2.erode(mask, disc) == 0)
    return float(np.linalg.norm(frame[inside].mean(axis=0) - frame[outside].mean(axis=0)))


@pytest.mark.parametrize("classes", [(LIPS, INNER_MOUTH), (EYES,), (INNER_MOUTH,)])
def test_points_fit_the_picture_to_a_pixel(
    clean: list[tuple[Frame, Points]], classes: tuple[int, ...]
) -> None:
    scores: dict[tuple[int, int], list[float]] = {}
    for frame, points in clean:
        mask = landmarks_to_mask(points, *frame.shape[:2])
        if np.isin(mask, classes).sum() < 150:  # shut eyes and mouths have no rim to compare
            continue
        for shift in ((0, 0), (2, 0), (-2, 0), (0, 2), (0, -2)):
            moved = landmarks_to_mask(points + shift, *frame.shape[:2])
            scores.setdefault(shift, []).append(separation(frame, np.isin(moved, classes)))
    means = {shift: float(np.mean(values)) for shift, values in scores.items()}
    assert len(scores[0, 0]) >= 4
    assert max(means, key=lambda shift: means[shift]) == (0, 0), means


def test_jaw_points_lie_on_the_edge_of_the_skin(clean: list[tuple[Frame, Points]]) -> None:
    """Across the chin's outline the picture changes more than anywhere near it."""
    steps = []
    for frame, points in clean:
        grey = cv2.GaussianBlur(frame, (0, 0), 0.7).astype(float).mean(axis=2)
        down = (points[8] - points[27]) / np.linalg.norm(points[8] - points[27])
        offsets = np.arange(-6, 7)
        profile = []
        for k in offsets:
            x, y = points[8] + k * down
            profile.append(cv2.getRectSubPix(grey.astype(np.float32), (5, 1), (x, y)).mean())
        steps.append(np.abs(np.gradient(profile)))
    mean = np.mean(steps, axis=0)
    assert abs(int(np.argmax(mean)) - 6) <= 1, mean


def test_regions_look_like_what_they_are(clean: list[tuple[Frame, Points]]) -> None:
    eyes_seen = mouths_seen = 0
    for frame, points in clean:
        mask = landmarks_to_mask(points, *frame.shape[:2])
        skin = np.median(frame[mask == SKIN], axis=0)
        lips = frame[mask == LIPS].mean(axis=0)
        assert lips[0] / lips[1] > 1.05 * skin[0] / skin[1]  # redder than skin
        if (mask == EYES).sum() > 200:
            eyes_seen += 1
            grey = frame[mask == EYES].mean(axis=1)
            assert np.percentile(grey, 3) < 50  # the pupil
            assert np.percentile(grey, 95) > 1.05 * skin.mean()  # the white
        if (mask == INNER_MOUTH).sum() > 200:
            mouths_seen += 1
            mouth = frame[mask == INNER_MOUTH].mean(axis=1)
            dark, bright = np.percentile(mouth, (10, 95))
            assert bright > 1.15 * dark + 20  # the cavity and the teeth
    assert eyes_seen >= 5
    assert mouths_seen >= 2


def test_occluders_hide_the_face_and_leave_the_points() -> None:
    size: dict[str, Any] = {"frames": 90, "width": 128, "height": 96, "fps": 30}
    for index in range(5):  # every kind
        covered = SyntheticVideo(4, index, category=3, **size)
        free = SyntheticVideo(4, index, category=3, **size, occluders=False)
        hidden = []
        for k in range(0, 90, 15):
            np.testing.assert_array_equal(covered.points(k), free.points(k))
            face = landmarks_to_mask(free.points(k), 96, 128) > 0
            change = np.abs(covered.frame(k).astype(int) - free.frame(k)).max(axis=2)
            hidden.append((change[face] > 20).mean())
        assert max(hidden) > 0.03, index


def test_written_video_matches_its_annotations(tmp_path: Path) -> None:
    options: dict[str, Any] = {"width": 200, "height": 160, "fps": 10}
    synthesize(tmp_path, videos=2, seconds=0.7, workers=1, categories=(3, 1), seed=5, **options)
    videos = find_videos(tmp_path)[0]
    assert [video.name for video in videos] == ["001", "002"]
    for index, video in enumerate(videos):
        frames = decode(video.path)
        assert len(frames) == len(video.annotations) == 7
        expected = render_video(5, index, category=(3, 1)[index], frames=7, **options)
        for number, (frame, points) in enumerate(expected, start=1):
            np.testing.assert_allclose(read_pts(video.annotations[number]), points, atol=1e-6)
            error = np.abs(frames[number - 1].astype(int) - frame)
            assert error.mean() < 4  # MJPG loses a little
    with (tmp_path / "subjects.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["video"], row["category"]) for row in rows] == [("001", "3"), ("002", "1")]
    assert len({row["subject"] for row in rows}) == 2


def test_goes_on_where_a_killed_run_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    synthesize(whole, videos=3, **SMALL)

    def dies(
        seed: int,
        index: int,
        **options: Any,  # noqa: ANN401
    ) -> Iterator[tuple[Frame, Points]]:
        for number, pair in enumerate(render_video(seed, index, **options)):
            if (index, number) == (1, 2):
                raise KeyboardInterrupt
            yield pair

    with monkeypatch.context() as patch:
        patch.setattr(writer_module, "render_video", dies)
        with pytest.raises(KeyboardInterrupt):
            synthesize(killed, videos=3, **SMALL)
    assert not list(killed.glob(".*"))
    assert [video.name for video in find_videos(killed)[0]] == ["001"]

    before = (killed / "001" / "vid.avi").stat().st_mtime_ns
    left = temporary_name(killed / "002")  # of a process that could not tidy up
    left = left.with_name(left.name.replace(f"-{os.getpid()}.", f"-{number_of_nobody()}."))
    (left / "002" / "annot").mkdir(parents=True)
    synthesize(killed, videos=3, **SMALL)
    assert (killed / "001" / "vid.avi").stat().st_mtime_ns == before
    assert tree(killed) == tree(whole)
    assert not left.exists()


def test_makes_a_deleted_video_again_and_more(tmp_path: Path) -> None:
    synthesize(tmp_path, videos=1, **SMALL)
    before = tree(tmp_path)
    (tmp_path / "001").rename(tmp_path.with_name("away"))
    synthesize(tmp_path, videos=1, **SMALL)
    assert tree(tmp_path) == before
    synthesize(tmp_path, videos=2, **SMALL)
    after = tree(tmp_path)
    assert after["001/vid.avi"] == before["001/vid.avi"]
    assert "002/vid.avi" in after
    assert after["subjects.csv"].count(b"\n") == 3


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one finished video."""
    folder = tmp_path_factory.mktemp("made")
    synthesize(folder, videos=1, **SMALL)
    return folder


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"seed": 1}, "seed 0, not 1"),
        ({"seconds": 0.2}, "frames 3, not 6"),
        ({"width": 130}, "width 128, not 130"),
        ({"categories": (2,)}, r"categories \[1, 2, 3\], not \[2\]"),
        ({"fps": 31}, "fps 30, not 31"),
    ],
)
def test_other_settings_in_the_same_folder_are_refused(
    made: Path, other: dict[str, Any], message: str
) -> None:
    before = tree(made)
    with pytest.raises(InputError, match=message):
        synthesize(made, videos=2, **{**SMALL, **other})
    assert tree(made) == before


def test_a_folder_of_real_videos_is_refused(tmp_path: Path) -> None:
    (tmp_path / "001").mkdir()
    with pytest.raises(InputError, match="other settings"):
        synthesize(tmp_path, videos=2, **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["001"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"videos": 0}, "videos is 0"),
        ({"videos": 1000}, "videos is 1000"),
        ({"seconds": 0.01}, "0 frames"),
        ({"seconds": -1.0}, "0 frames"),
        ({"seconds": float("nan")}, "0 frames"),
        ({"width": 95}, "95 x 96"),
        ({"height": 10}, "128 x 10"),
        ({"fps": 0}, "fps is 0"),
        ({"categories": (1, 4)}, "category is 4"),
        ({"categories": ()}, "categories is empty"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_options_are_named_before_anything_is_written(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    out = tmp_path / "out"
    with pytest.raises(InputError, match=message):
        synthesize(out, **{"videos": 1, **SMALL, **options})
    assert not out.exists()


def test_bad_option_of_render_video_is_refused_at_once() -> None:
    with pytest.raises(InputError, match="category is 0"):
        render_video(0, 0, category=0)


def test_unwritable_folder_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(InputError, match="file is a file"):
        synthesize(file / "out", videos=1, **SMALL)
