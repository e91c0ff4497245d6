"""When the detector looks, and how the picture is turned for it."""

from collections import Counter

import numpy as np
import pytest

from facemask.boxes import Box, overlap
from facemask.tracking.schedule import nearest_turn
from facemask.tracking.tracker import FaceTracker, TrackedFace, TrackerSettings
from facemask.turned import wrapped
from tests.tracking.scenes import Patch, Scene, SceneDetector

PLACE = Box.around(160, 120, 80)


def face(roll: float, first: int = 0, last: int = 1000, x: float = 160, score: float = 1) -> Patch:
    """A face that is there from its first to before its last frame."""
    place = Box.around(x, 120, 80)
    return Patch(
        lambda i: place if first <= i < last else None, 1, roll=lambda _: roll, score=score
    )


def follow(
    detector: SceneDetector, count: int, settings: TrackerSettings | None = None
) -> list[list[TrackedFace]]:
    tracker = FaceTracker(detector, settings)
    shown = []
    for detector.frame in range(count):
        shown.append(tracker.step(detector.scene.frame(detector.frame)))
    return shown


def runs(detector: SceneDetector) -> dict[int, list[int]]:
    """The turns looked at in each frame."""
    turns: dict[int, list[int]] = {}
    for frame, turn in zip(detector.calls, detector.turns, strict=True):
        turns.setdefault(frame, []).append(turn)
    return turns


def test_frames_that_were_looked_at_before_are_not_asked_for_again() -> None:
    """Ten frames ahead, as a thread that decodes may be: nothing else changes."""
    upright, other = face(8, first=2, last=40), face(-12, first=44, x=90)
    lying = face(90, first=60, x=230)
    for settings in (TrackerSettings(), TrackerSettings(every=3, upright=False)):
        usual = SceneDetector(Scene([upright, other, lying]))
        expected = follow(usual, 80, settings)
        detector = SceneDetector(Scene([upright, other, lying]))
        tracker, shown, foreseen = FaceTracker(detector, settings), [], 0
        for number in range(-10, 80):
            detector.frame = number + 10
            if number + 10 < 80:
                before = len(detector.calls)
                tracker.foresee(number + 10, detector.scene.frame(number + 10))
                foreseen += len(detector.calls) - before
            detector.frame = number
            if number >= 0:
                shown.append(tracker.step(detector.scene.frame(number)))
        assert shown == expected
        assert foreseen > 6
        assert len(detector.calls) <= len(usual.calls) + 8  # those foreseen in vain


@pytest.mark.parametrize("every", [1, 5])
def test_an_idle_scene_costs_one_run_in_n(every: int) -> None:
    detector = SceneDetector(Scene([]))
    assert follow(detector, 61, TrackerSettings(every=every)) == [[]] * 61
    assert runs(detector)[0] == [0, 90, 180, 270]  # the first frame of a scene
    assert detector.calls[4:] == list(range(every, 61, every))
    turns = Counter(detector.turns[4:])
    assert turns[0] == 30 / every
    assert turns[90] == turns[180] == turns[270] == 10 / every


def test_an_idle_scene_without_turns() -> None:
    detector = SceneDetector(Scene([]))
    follow(detector, 8, TrackerSettings(upright=False))
    assert detector.calls == list(range(8))
    assert set(detector.turns) == {0}


@pytest.mark.parametrize("roll", [0.0, 90.0, -170.0, -45.0])
def test_a_face_that_comes_is_found_however_it_is_turned(roll: float) -> None:
    detector = SceneDetector(Scene([face(roll, first=13)]))
    shown = follow(detector, 50)
    first = next(i for i, faces in enumerate(shown) if faces)
    assert first <= 13 + 30
    assert all(len(faces) == 1 for faces in shown[first:])
    assert abs(wrapped(shown[-1][0].roll - roll)) < 1
    assert set(runs(detector)[first]) == {0, 90, 180, 270}  # where a face begins


@pytest.mark.parametrize(("roll", "turn"), [(-8.0, 0), (100.0, 90), (170.0, 180), (-60.0, 270)])
def test_a_face_lying_from_the_start_takes_one_run(roll: float, turn: int) -> None:
    detector = SceneDetector(Scene([face(roll)]))
    shown = follow(detector, 143)
    assert [len(faces) for faces in shown] == [1] * 143
    assert {f.track_id for faces in shown for f in faces} == {0}
    assert all(abs(wrapped(faces[0].roll - roll)) < 1 for faces in shown)
    assert all(overlap(faces[0].box, PLACE) > 0.95 for faces in shown)
    turns = runs(detector)
    assert detector.looks == [0, 1, 2, *range(7, 143, 5)]
    assert all(turn in turns[frame] for frame in turns)
    aside = [frame for frame in turns if len(turns[frame]) == 2]
    assert len(aside) == 3  # of 30 looks after the first one eighth also looks aside
    assert len({*turns[aside[0]], *turns[aside[1]], *turns[aside[2]]}) == 4


def test_another_face_turned_otherwise_is_found() -> None:
    scene = Scene([face(0.0, x=90), face(180.0, first=10, x=230)])
    shown = follow(SceneDetector(scene), 75)
    assert [round(abs(f.roll)) for f in shown[-1]] == [0, 180]
    assert [len(faces) for faces in shown[:10]] == [1] * 10


def test_with_two_rolls_known_both_others_are_looked_at() -> None:
    detector = SceneDetector(Scene([face(0.0, x=90), face(90.0, x=230)]))
    follow(detector, 150)
    assert {180, 270} <= set(detector.turns[4:])
    assert sum(len(turns) for turns in runs(detector).values()) == 4 + 2 * 2 + 29 * 2 + 4


def test_a_part_of_a_face_is_none() -> None:
    """Something like a face on the cheek of another one; beside it, it counts."""
    for x, count in ((120, 1), (160, 2)):
        cheek = Patch(lambda i, x=x: Box.around(x, 120, 35) if i > 5 else None, 2)  # type: ignore[misc]
        shown = follow(SceneDetector(Scene([face(0.0, x=90), cheek])), 20)
        assert len(shown[-1]) == count


@pytest.mark.parametrize("first", [0, 10])
def test_a_weak_face_turned_otherwise_than_others_is_none(first: int) -> None:
    scene = Scene([face(-20.0, x=90), face(180.0, first=first, x=230, score=0.8)])
    assert {len(faces) for faces in follow(SceneDetector(scene), 75)} == {1}
    scene = Scene([face(-20.0, x=90), face(20.0, first=first, x=230, score=0.8)])
    assert len(follow(SceneDetector(scene), 75)[-1]) == 2
    assert len(follow(SceneDetector(Scene([face(180.0, score=0.8)])), 5)[-1]) == 1


def test_a_face_that_is_lost_is_looked_for_all_around() -> None:
    """It lies down behind something, in frames 20 to 27."""
    scene = Scene([face(0.0, last=20), face(90.0, first=28)])
    detector = SceneDetector(scene)
    shown = follow(detector, 45)
    assert [len(faces) for faces in shown[:20]] == [1] * 20
    assert [len(faces) for faces in shown[33:]] == [1] * 12
    turns = runs(detector)
    assert [len(turns[i]) for i in range(21, 28)].count(4) >= 1
    assert sum(len(turns[i]) for i in range(22, 27)) <= 5 + 3 + 1


def test_a_weak_score_is_looked_at_all_around() -> None:
    detector = SceneDetector(Scene([face(0.0)]))
    tracker = FaceTracker(detector)
    for detector.frame in range(24):
        detector.score = 0.9 if detector.frame < 10 else 0.4
        tracker.step(detector.scene.frame(detector.frame))
        if detector.frame > 17:
            tracker.correct(0, PLACE, roll=0.0)
    turns = runs(detector)
    assert len(turns[7]) <= 2
    assert len(turns[17]) == 4  # the one at 12 was weak, the last look all around is long ago
    assert len(turns[22]) <= 2  # masks know the roll


def test_a_cut_from_upright_to_lying() -> None:
    first, second = Scene([face(0.0)], background=90), Scene([face(100.0)], background=91)
    detector = SceneDetector(first)
    tracker = FaceTracker(detector)
    for detector.frame in range(20):
        detector.scene = first if detector.frame < 11 else second
        (shown,) = tracker.step(detector.scene.frame(detector.frame))
        lying = detector.frame >= 11
        assert (shown.track_id, round(shown.roll)) == ((1, 100) if lying else (0, 0))
        assert shown.restart == (detector.frame in (0, 11))
    assert runs(detector)[11] == [0, 90, 180, 270]


@pytest.mark.parametrize("grey", [0, 255])
def test_a_face_that_comes_out_of_the_dark_is_seen_at_once(grey: int) -> None:
    scene = Scene([face(100.0)])
    detector = SceneDetector(Scene([]))
    tracker = FaceTracker(detector)
    for detector.frame in range(9):
        assert tracker.step(np.full_like(scene.background, grey)) == []
    detector.scene = scene
    for detector.frame in range(9, 12):
        (shown,) = tracker.step(scene.frame(detector.frame))
        assert (shown.restart, round(shown.roll)) == (detector.frame == 9, 100)


def test_a_face_denied_by_its_first_mask_leaves_the_scene_idle() -> None:
    detector = SceneDetector(Scene([face(0.0)]))
    tracker = FaceTracker(detector)
    for detector.frame in range(31):
        for shown in tracker.step(detector.scene.frame(detector.frame)):
            assert (shown.track_id, shown.restart) == (0, True)
            tracker.correct(0, None)
    assert detector.calls == [0, 0, 0, 0, *range(5, 31, 5)]


def test_nearest_turns() -> None:
    rolls = [0.0, 44.0, 46.0, 100.0, 179.0, -180.0, -100.0, -46.0, -44.0]
    expected = [0, 0, 90, 90, 180, 180, 270, 270, 0]
    np.testing.assert_array_equal([nearest_turn(roll) for roll in rolls], expected)
