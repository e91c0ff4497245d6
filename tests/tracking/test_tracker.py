import math
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from facemask.boxes import Box, overlap
from facemask.errors import InputError
from facemask.tracking.tracker import FaceTracker, TrackedFace, TrackerSettings
from tests.tracking.scenes import HEIGHT, WIDTH, Patch, Scene, SceneDetector, texture

EVERY_FRAME = TrackerSettings(upright=False)
"""Looks in every frame while no face is known."""

Result = list[list[TrackedFace]]


def still(x: float = 160, y: float = 120, side: float = 80) -> Callable[[int], Box | None]:
    return lambda _: Box.around(x, y, side)


def walk(x: float, y: float, side: float, dx: float) -> Callable[[int], Box | None]:
    return lambda i: Box.around(x + dx * i, y, side)


def follow(
    scene: Scene,
    count: int,
    settings: TrackerSettings | None = None,
    noise: float = 0.0,
) -> tuple[Result, SceneDetector]:
    detector = SceneDetector(scene, noise)
    tracker = FaceTracker(detector, settings)
    shown = []
    for detector.frame, image in enumerate(scene.frames(count)):
        shown.append(tracker.step(image))
    return shown, detector


def ids(frames: Result) -> list[list[int]]:
    return [[face.track_id for face in faces] for faces in frames]


def restarts(frames: Result) -> list[int]:
    return [i for i, faces in enumerate(frames) if any(face.restart for face in faces)]


def test_a_face_is_followed_between_detections() -> None:
    def place(i: int) -> Box:
        return Box.around(100 + 2.5 * i, 120 + 10 * math.sin(i / 4), 70 * 1.005**i)

    shown, detector = follow(Scene([Patch(place, 1)]), 40, TrackerSettings(every=10))
    assert detector.looks == [0, 1, 2, 12, 22, 32]  # a new face is looked at three times
    assert ids(shown) == [[0]] * 40
    assert restarts(shown) == [0]
    assert all(overlap(faces[0].box, place(i)) > 0.94 for i, faces in enumerate(shown))
    assert {face.score for faces in shown for face in faces} == {0.9}


def second_difference(values: list[float]) -> float:
    return float(np.std(np.diff(values, 2)))


def test_smooth_without_lag() -> None:
    """The box neither shakes with the detector nor stays behind a moving face."""
    scene = Scene([Patch(walk(70, 120, 80, 3.0), 2)])
    shown, detector = follow(scene, 60, TrackerSettings(every=2), noise=0.05)
    centres = [faces[0].box.center[0] for faces in shown]
    detector.noise = 0.05
    alone = []
    for detector.frame in range(60):
        alone.append(detector.detect(scene.background)[0].box.center[0])
    assert second_difference(centres[3:]) < 0.1 * second_difference(alone)
    behind = [70 + 3 * i - x for i, x in enumerate(centres)][10:]
    assert abs(np.mean(behind)) < 1.5  # half a frame; an average over 5 frames is 6 px behind


def test_no_smoothing_takes_corrections_at_once() -> None:
    scene = Scene([Patch(still(), 3)])
    tracker = FaceTracker(SceneDetector(scene), TrackerSettings(smoothing=0))
    tracker.step(scene.frame(0))
    tracker.correct(0, Box.around(164, 120, 80))
    (face,) = tracker.step(scene.frame(1))
    assert face.box.center[0] > 161.5


def test_gaps() -> None:
    """The face leaves the picture at 20 and is back at 32."""
    patch = Patch(lambda i: None if 20 <= i < 32 else Box.around(150 + i, 120, 70), 4)
    shown, detector = follow(Scene([patch]), 45)
    assert ids(shown) == [[0]] * 20 + [[]] * 12 + [[0]] * 13
    assert restarts(shown) == [0, 32]
    assert set(range(21, 32)) <= set(detector.looks)  # it may come back in every frame

    shown, _ = follow(Scene([patch]), 45, TrackerSettings(max_gap=5))
    starts = restarts(shown)[1]
    assert 32 <= starts < 42  # no face is known: every fifth frame, every other time upright
    assert ids(shown) == [[0]] * 20 + [[]] * (starts - 20) + [[1]] * (45 - starts)


def test_another_face_in_the_gap_is_another_face() -> None:
    first = Patch(lambda i: Box.around(160, 120, 70) if i < 20 else None, 5)
    second = Patch(lambda i: Box.around(165, 118, 72) if i >= 25 else None, 6)
    shown, _ = follow(Scene([first, second]), 35)
    assert ids(shown) == [[0]] * 20 + [[]] * 5 + [[1]] * 10


def test_what_the_detector_misses_flow_bridges() -> None:
    """As in profile: the detector fails from 10 on for 25 frames, the picture goes on."""
    place = walk(90, 120, 80, 2)
    shown, _ = follow(Scene([Patch(place, 7, lambda i: not 10 <= i < 35)]), 45)
    assert ids(shown) == [[0]] * 45
    assert restarts(shown) == [0]
    assert all(overlap(f[0].box, place(i) or f[0].box) > 0.85 for i, f in enumerate(shown))
    shown, _ = follow(Scene([Patch(still(), 7, lambda i: i < 10)]), 60)
    # last seen in frame 7, shown for 30 frames more
    assert [len(faces) for faces in shown] == [1] * 38 + [0] * 22


@pytest.mark.parametrize("speed", [1.5, 3.0, 6.0])
def test_crossing_faces_keep_their_ids(speed: float) -> None:
    count = int(240 / speed)
    behind, front = walk(40, 110, 60, speed), walk(280, 130, 64, -speed)
    shown, _ = follow(Scene([Patch(behind, 1), Patch(front, 2)]), count, noise=0.03)
    assert ids(shown)[0] == ids(shown)[-1] == [0, 1]
    names = {0: front, 1: behind}  # the larger face comes first
    for i in (0, count // 4, count - 1):
        for face in shown[i]:
            place = names[face.track_id](i)
            assert place is not None
            assert overlap(face.box, place) > 0.8
    assert {face.track_id for faces in shown for face in faces} == {0, 1}


def test_a_cut_ends_all_faces() -> None:
    first, second = Scene([Patch(still(), 1)], background=90), Scene([Patch(still(), 2)], 91)
    detector = SceneDetector(first)
    tracker = FaceTracker(detector)
    shown = []
    for i in range(20):
        detector.frame, detector.scene = i, first if i < 11 else second
        shown.append(tracker.step(detector.scene.frame(i)))
    assert ids(shown) == [[0]] * 11 + [[1]] * 9
    assert restarts(shown) == [0, 11]
    assert 11 in detector.calls


def test_reset_starts_anew() -> None:
    scene = Scene([Patch(still(), 1)])
    tracker = FaceTracker(SceneDetector(scene))
    for _ in range(2):
        (face,) = tracker.step(scene.frame(0))
        assert (face.track_id, face.restart) == (0, True)
        assert not tracker.step(scene.frame(1))[0].restart
        tracker.reset()


def test_most_and_smallest_faces() -> None:
    patches = [Patch(still(60, 120, 60), 1), Patch(still(200, 120, 90), 2)]
    patches.append(Patch(still(290, 40, 30), 3))
    scene = Scene(patches)

    def sides(settings: TrackerSettings) -> list[int]:
        return [round(face.box.side) for face in follow(scene, 4, settings)[0][-1]]

    assert sides(TrackerSettings()) == [90, 60, 30]
    assert sides(TrackerSettings(max_faces=2)) == [90, 60]
    assert sides(TrackerSettings(min_size=31)) == [90, 60]
    assert sides(TrackerSettings(min_size=0.3)) == [90]  # of 240 pixels: 72


def test_min_score_is_for_new_faces() -> None:
    scene = Scene([Patch(still(), 1)])
    detector = SceneDetector(scene, score=0.4)
    tracker = FaceTracker(detector, EVERY_FRAME)
    assert tracker.step(scene.frame(0)) == []
    detector.score = 0.6
    assert len(tracker.step(scene.frame(1))) == 1
    detector.score = 0.4
    assert [len(tracker.step(scene.frame(i))) for i in range(2, 50)] == [1] * 48


def test_false_alarm_does_not_stay() -> None:
    """A detection that is not seen again within two looks is dropped."""
    shown, _ = follow(Scene([Patch(still(), 1, lambda i: i == 3)]), 12, EVERY_FRAME)
    assert [len(faces) for faces in shown] == [0, 0, 0, 1, 1] + [0] * 7


def test_masks_draw_the_box() -> None:
    """The network's mask is right, the detector is off by a tenth; masks come 4 frames late."""
    place = walk(90, 120, 80, 2)
    scene = Scene([Patch(place, 8)])
    off = Scene([Patch(walk(98, 126, 88, 2), 8)])
    detector = SceneDetector(off)
    tracker = FaceTracker(detector)
    overlaps = []
    for i in range(50):
        detector.frame = i
        (face,) = tracker.step(scene.frame(i))
        overlaps.append(overlap(face.box, place(i) or face.box))
        if i % 5 == 4:
            for age in range(4, -1, -1):
                tracker.correct(0, place(i - age), age)
    assert max(overlaps[:5]) < 0.8
    assert min(overlaps[15:]) > 0.95  # neither the detector nor five masks at once spoil it
    tracker.correct(0, place(0), age=1000)  # forgotten long ago
    tracker.correct(99, place(0))  # no such face


def test_stray_masks_do_not_take_the_box_away() -> None:
    scene = Scene([Patch(still(), 8)])
    tracker = FaceTracker(SceneDetector(scene))
    for i in range(20):
        (face,) = tracker.step(scene.frame(i))
        assert overlap(face.box, Box.around(160, 120, 80)) > 0.55
        tracker.correct(0, Box.around(230, 120, 80))  # as of a face beside it
    for i in range(60):
        (face,) = tracker.step(scene.frame(i))
        x, y = face.box.center
        assert overlap(face.box, Box.around(160, 120, 80)) > 0.35
        tracker.correct(0, Box.around(x + 15, y, face.box.side))  # pulls and pulls


def test_a_mask_without_a_face_asks_the_detector() -> None:
    scene = Scene([Patch(still(), 1, lambda i: i < 8 or i >= 12)])
    detector = SceneDetector(scene)
    tracker = FaceTracker(detector, TrackerSettings(every=100))
    shown = []
    for i in range(16):
        detector.frame = i
        shown.append(tracker.step(scene.frame(i)))
        if i in (5, 7):
            tracker.correct(0, None)
    assert detector.looks == [0, 1, 2, 6, 8, 9, 10, 11, 12, 13, 14]
    assert ids(shown) == [[0]] * 8 + [[]] * 4 + [[0]] * 4
    assert restarts(shown) == [0, 12]


def test_masks_keep_a_face_that_the_detector_misses() -> None:
    scene = Scene([Patch(still(), 1, lambda i: i < 1)])
    detector = SceneDetector(scene)
    tracker = FaceTracker(detector)
    for i in range(60):
        detector.frame = i
        assert ids([tracker.step(scene.frame(i))]) == [[0]]
        tracker.correct(0, still()(i))


def test_a_face_that_leaves_the_frame() -> None:
    shown, _ = follow(Scene([Patch(walk(230, 120, 80, 4), 1)]), 40)
    assert shown[-1] == []
    for faces in shown:
        for face in faces:
            box = face.box.clipped(HEIGHT, WIDTH)
            assert box.width >= 2


def test_frames_may_change_size() -> None:
    scene = Scene([Patch(still(), 1)])
    tracker = FaceTracker(SceneDetector(scene))
    assert ids([tracker.step(scene.frame(0))]) == [[0]]
    (face,) = tracker.step(np.ascontiguousarray(scene.frame(0)[:200, :300]))
    assert (face.track_id, face.restart) == (1, True)


def test_memory_does_not_grow() -> None:
    """Faces come and go; what the tracker holds is bounded by the gap."""

    def place(i: int) -> Box | None:
        return Box.around(60 + 40 * (i // 6 % 5), 120, 60) if i % 6 < 3 else None

    scene = Scene([Patch(place, 1)])
    detector = SceneDetector(scene)
    tracker = FaceTracker(detector, replace(EVERY_FRAME, max_gap=2))
    last = 0
    for detector.frame, image in enumerate(scene.frames(120)):
        last = max([last, *(face.track_id for face in tracker.step(image))])
        assert len(tracker._tracks) <= 3
    assert last == 19  # never given twice


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("every", 0, "every is 0: give a number of frames from 1 on"),
        ("max_faces", 0, "max_faces is 0: give 1 or more, or leave it out"),
        ("min_score", 1.5, "min_score is 1.5: give a score from 0 to 1"),
        ("min_size", -1, "min_size is -1: give pixels, or a share"),
        ("max_gap", -1, "max_gap is -1: give a number of frames from 0 on"),
        ("smoothing", 1.0, "smoothing is 1.0: give a share from 0 to below 1"),
    ],
)
def test_wrong_settings(name: str, value: float, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        TrackerSettings(**{name: value})  # type: ignore[arg-type]


def test_wrong_images() -> None:
    tracker = FaceTracker(SceneDetector(Scene([])))
    with pytest.raises(InputError, match="expected uint8"):
        tracker.step(texture(1, 20, 20).astype(np.float32))
    with pytest.raises(InputError, match="expected RGB"):
        tracker.step(np.zeros((20, 20), dtype=np.uint8))
