"""Faces that are turned in the image: what the tracker makes of rolls."""

import math
from itertools import pairwise

import numpy as np
import pytest

from facemask.boxes import Box, overlap
from facemask.errors import InputError
from facemask.tracking.detection import Image
from facemask.tracking.flow import SmallFrame, face_motions
from facemask.tracking.looks import look_of
from facemask.tracking.tracker import FaceTracker, TrackedFace, TrackerSettings
from facemask.turned import TurnedBox, wrapped
from tests.tracking.scenes import Patch, Scene, SceneDetector, texture

PLACE = Box.around(160, 120, 80)


def turned_scene(speed: float, first: float = 0.0, box: Box = PLACE) -> Scene:
    return Scene([Patch(lambda _: box, 1, roll=lambda i: wrapped(first + speed * i))])


def off(face: TrackedFace, roll: float) -> float:
    return abs(wrapped(face.roll - roll))


@pytest.mark.parametrize("roll", [0.0, 33.0, 90.0, -150.0])
@pytest.mark.parametrize("turn", [4.0, -7.0])
def test_flow_gives_the_turn(roll: float, turn: float) -> None:
    """The box is not about the patch's centre, so that the turn moves it, too."""
    before, after = (turned_scene(turn, roll).frame(i) for i in (0, 1))
    part = TurnedBox(PLACE, roll).part(Box(30, 20, 70, 60))
    there = TurnedBox(PLACE, roll + turn).part(Box(30, 20, 70, 60))
    (motion,) = face_motions(SmallFrame.of(before), SmallFrame.of(after), [part])
    assert motion is not None
    assert motion.turn == pytest.approx(turn, abs=0.3)
    expected = np.subtract(there.box.center, part.box.center)
    assert (motion.x, motion.y) == pytest.approx(expected, abs=0.2)
    assert motion.scale == pytest.approx(1, abs=0.01)
    (stiff,) = face_motions(SmallFrame.of(before), SmallFrame.of(after), [part], turning=False)
    assert stiff is not None
    assert stiff.turn == 0


def test_looks_are_compared_upright() -> None:
    looks = []
    for roll in (0.0, 90.0, 45.0, -170.0):
        frame = SmallFrame.of(turned_scene(0, roll).frame(0))
        looks.append(look_of(frame, TurnedBox(PLACE, roll)))
        if roll:
            assert looks[0] @ look_of(frame, TurnedBox(PLACE)) < 0.5
    assert min(looks[0] @ look for look in looks) > 0.98
    assert not look_of(frame, TurnedBox(Box.around(-300, 0, 40), 30.0)).any()


@pytest.mark.parametrize("speed", [3.0, -5.0])
def test_a_face_turns_full_circle(speed: float) -> None:
    """Its roll passes −180 and 180; the detector's answers scatter by 6 degrees."""
    scene = turned_scene(speed)
    detector = SceneDetector(scene, 0.03, sway=6.0)
    tracker = FaceTracker(detector)
    rolls = []
    for detector.frame in range(int(400 / abs(speed))):
        (face,) = tracker.step(scene.frame(detector.frame))
        assert (face.track_id, face.restart) == (0, detector.frame == 0)
        assert -180 <= face.roll < 180
        rolls.append(face.roll)
        assert off(face, speed * detector.frame) < 12
        assert overlap(face.box, PLACE) > 0.75
    steps = [wrapped(b - a) for a, b in pairwise(rolls)]
    assert max(abs(step - speed) for step in steps[5:]) < 2  # of the 6 that detections scatter


def test_masks_give_the_roll() -> None:
    """Detections are 25 degrees off; masks draw the roll, flow keeps it between them."""
    scene = turned_scene(2.0, 150.0)
    detector = SceneDetector(turned_scene(2.0, 175.0))
    tracker = FaceTracker(detector)
    for i in range(30):
        detector.frame = i
        (face,) = tracker.step(scene.frame(i))
        assert off(face, 150 + 2 * i) < (27 if i < 6 else 20 if i < 25 else 3)
        if i % 5 == 4:
            tracker.correct(0, PLACE, age=2, roll=wrapped(150 + 2 * (i - 2)))
            tracker.correct(0, PLACE)  # a mask without eyes says nothing of the roll


def test_the_first_mask_counts_for_all() -> None:
    scene = turned_scene(0, 40.0)
    detector = SceneDetector(turned_scene(0, 10.0, Box.around(168, 116, 96)))
    tracker = FaceTracker(detector)
    (face,) = tracker.step(scene.frame(0))
    for roll, x in ((40.0, 160), (None, 161)):  # once more, without a roll
        place = Box.around(x, 120, 80)
        tracker.correct(0, place, roll=roll)
        (face,) = tracker.faces()
        assert (face.track_id, face.restart, face.roll) == (0, True, 40)
        assert face.box == pytest.approx(place)
    for i in range(1, 20):
        (face,) = tracker.step(scene.frame(i))
        assert tracker.faces() == [face]
        assert not face.restart
        assert off(face, 40) < 1
        assert overlap(face.box, PLACE) > 0.8  # a detection draws it no farther than a mask may
    tracker.correct(0, Box.around(168, 120, 80), roll=60.0)
    assert tracker.faces() == [face]  # later masks show in the next frame


def test_a_first_mask_without_a_face_ends_it() -> None:
    patches = [
        Patch(lambda _: Box.around(90, 120, 80), 1),
        Patch(lambda _: PLACE.scaled(1.5, 1), 2),
    ]
    scene = Scene(patches)
    detector = SceneDetector(scene)
    tracker = FaceTracker(detector)
    first, second = tracker.step(scene.frame(0))
    tracker.correct(first.track_id, None)
    assert tracker.faces() == [second]
    detector.frame = 1
    faces = tracker.step(scene.frame(1))
    assert [(face.track_id, face.restart) for face in faces] == [(0, True), (1, False)]
    tracker.correct(1, None)  # not its first frame: the detector has to say
    assert tracker.faces() == faces


def test_a_face_that_its_first_mask_shows_stays_though_the_detector_misses_it() -> None:
    scene = Scene([Patch(lambda _: PLACE, 1, lambda i: i < 1)])
    for shown in (False, True):
        detector = SceneDetector(scene)
        tracker = FaceTracker(detector)
        for detector.frame in range(10):
            faces = tracker.step(scene.frame(detector.frame))
            if shown and detector.frame == 0:
                tracker.correct(0, PLACE, roll=0.0)
        assert len(faces) == shown


def test_a_first_mask_that_leaks_is_outvoted() -> None:
    """The next two looks say twice that the face is smaller."""
    scene = turned_scene(0)
    tracker = FaceTracker(SceneDetector(scene))
    sides = []
    for i in range(12):
        (face,) = tracker.step(scene.frame(i))
        if i == 0:
            tracker.correct(0, Box.around(160, 120, 120), roll=0.0)
            (face,) = tracker.faces()
        sides.append(face.box.side)
    assert sides[0] == pytest.approx(120)
    assert sides[2] < 110
    assert sides[-1] < 100


@pytest.mark.parametrize("confirmed", [False, True])
def test_one_contrary_answer_turns_nothing(confirmed: bool) -> None:
    """The detector sees the face upside down, once at 10 and always from 20 on."""
    scene = turned_scene(0, 170.0)
    detector = SceneDetector(scene)
    tracker = FaceTracker(detector, TrackerSettings(every=2))
    begins, wrong = [], turned_scene(0, -20.0)
    for i in range(56):
        detector.frame, detector.scene = i, wrong if i == 10 or i >= 20 else scene
        (face,) = tracker.step(scene.frame(i))
        if face.restart:
            begins.append(i)
        if confirmed and (face.restart or i % 5 == 4):
            tracker.correct(0, PLACE, roll=170.0)
            (face,) = tracker.faces()
        if i < 20 or confirmed:
            assert off(face, 170) < 1
    # masks are believed until ten looks in a row say otherwise, and then asked once more
    assert begins == ([0, 38] if confirmed else [0, 22])
    assert confirmed or off(face, -20) < 1


def test_a_mask_against_the_roll_asks_the_detector() -> None:
    scene = turned_scene(0, 170.0)
    detector = SceneDetector(scene)
    tracker = FaceTracker(detector, TrackerSettings(every=1000))
    for i in range(10):
        detector.frame = i
        tracker.step(scene.frame(i))
    tracker.correct(0, PLACE, roll=-15.0)
    (face,) = tracker.step(scene.frame(10))
    assert off(face, 170) < 1  # the detector still says so
    detector.scene = turned_scene(0, -20.0)
    tracker.correct(0, PLACE, roll=-15.0)
    (face,) = tracker.step(scene.frame(11))
    assert (face.restart, face.roll) == (True, -20.0)


def test_upright_only_is_the_way_it_was() -> None:
    """Numbers of the tracker before it knew of rolls."""

    def place(i: int) -> Box:
        return Box.around(100 + 2.5 * i, 120 + 10 * math.sin(i / 4), 70 * 1.005**i)

    def second(i: int) -> Box | None:
        return None if 12 <= i < 18 else Box.around(290 - 3 * i, 90, 60)

    scene = Scene([Patch(place, 1, lambda i: not 20 <= i < 28), Patch(second, 2)])
    detector = SceneDetector(scene, 0.05)
    tracker = FaceTracker(detector, TrackerSettings(upright=False))
    rows = []
    for i in range(45):
        detector.frame = i
        rows += [(i, f.track_id, *f.box, f.roll) for f in tracker.step(scene.frame(i))]
        if i % 5 == 4 and i > 4:
            for age in (2, 0):
                left, top, right, bottom = place(i - age)
                box = Box(left + 1, top - 2, right + 3, bottom)
                tracker.correct(0, box, age, roll=30.0)
        if i == 33:
            tracker.correct(1, None)
    assert [(row[0], row[1]) for row in rows[::17]] == [(0, 0), (8, 1), (22, 0), (30, 2), (39, 0)]
    expected = [
        (64.30117939061101, 83.39875659526459, 136.57893215704274, 155.6765093616963, 0.0),
        (234.8611771496053, 58.12290921588252, 295.1433077934271, 118.40503985970429, 0.0),
        (116.9411836515544, 72.04714764203045, 196.9464347591931, 152.05239874966918, 0.0),
        (169.00548303711503, 59.73419290238354, 229.86647826075955, 120.59518812602806, 0.0),
        (161.0341634294674, 92.82090943040619, 217.9917376723397, 149.77848367327846, 0.0),
    ]
    np.testing.assert_allclose([row[2:] for row in rows[::17]], expected, atol=1e-6)
    assert detector.calls == [0, 1, 2, 7, 12, 17, 22, 23, 24, 29, *range(31, 43)]


def test_upright_only_knows_no_rolls() -> None:
    scene = turned_scene(3.0, 20.0)
    detector = SceneDetector(scene)
    tracker = FaceTracker(detector, TrackerSettings(upright=False))
    for detector.frame in range(12):
        (face,) = tracker.step(scene.frame(detector.frame))
        assert face.roll == 0
        assert overlap(face.box, PLACE) > 0.9


class Given:
    def __init__(self, roll: float) -> None:
        self.roll = roll

    def faces(self, frame: int, image: Image) -> dict[int, TurnedBox]:
        return {7: TurnedBox(PLACE, self.roll), 3: TurnedBox(PLACE, 5.0)}


def test_given_faces_hand_their_rolls_through() -> None:
    image = texture(1, 240, 320)
    tracker = FaceTracker(Given(270.0))
    faces = [TrackedFace(3, PLACE, 1.0, True, 5.0), TrackedFace(7, PLACE, 1.0, True, -90.0)]
    assert tracker.step(image) == tracker.faces() == faces
    assert [face.restart for face in tracker.step(image)] == [False, False]
    upright = FaceTracker(Given(270.0), TrackerSettings(upright=False))
    assert [face.roll for face in upright.step(image)] == [0, 0]


@pytest.mark.parametrize("roll", [math.nan, math.inf])
def test_broken_rolls(roll: float) -> None:
    scene = turned_scene(0)
    tracker = FaceTracker(SceneDetector(scene))
    tracker.step(scene.frame(0))
    message = rf"a face's roll is {roll}: expected degrees, clockwise\."
    with pytest.raises(InputError, match=message):
        tracker.correct(0, PLACE, roll=roll)
    with pytest.raises(InputError, match=message):
        FaceTracker(Given(roll)).step(scene.frame(0))
