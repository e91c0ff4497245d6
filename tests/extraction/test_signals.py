"""Signals of masks whose shapes are known."""

import math

import numpy as np
import pytest

from facemask.boxes import Crop
from facemask.classes import EYES, INNER_MOUTH, LIPS, NUM_CLASSES, SKIN
from facemask.extraction import SIGNALS, ExtractedFace, face_signals

Labels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def face_of(labels: Labels) -> ExtractedFace:
    height, width = labels.shape
    values = np.full((NUM_CLASSES, height, width), 0.1, dtype=np.float32)
    np.put_along_axis(values, labels[None].astype(np.int64), 0.6, axis=0)
    return ExtractedFace(0, Crop(0, 0, width, height), 1.0, True, (height, width), labels, values)


def skin() -> Labels:
    return np.full((60, 80), SKIN, dtype=np.uint8)


def test_areas_and_openings_of_rectangles() -> None:
    labels = skin()
    labels[10:14, 10:22] = EYES  # 4 × 12
    labels[9:15, 50:62] = EYES  # 6 × 12
    labels[40:52, 20:50] = LIPS  # 12 × 30
    labels[43:49, 25:45] = INNER_MOUTH  # 6 × 20
    signals = face_signals(face_of(labels))
    assert tuple(signals) == SIGNALS
    assert signals["area_eyes"] == 4 * 12 + 6 * 12
    assert signals["area_inner_mouth"] == 120
    assert signals["area_lips"] == 12 * 30 - 120
    assert signals["area_skin"] == 60 * 80 - 120 - 360
    # a rectangle's standard deviation along a side is the side over the root of 12
    assert signals["left_eye_opening"] == pytest.approx(4 / 12)
    assert signals["right_eye_opening"] == pytest.approx(6 / 12)
    assert signals["eye_opening"] == pytest.approx((4 / 12 + 6 / 12) / 2)
    assert signals["mouth_opening"] == pytest.approx(6 / 30)


def test_openings_do_not_change_when_the_head_rolls() -> None:
    upright = np.zeros((200, 200), dtype=np.uint8)
    upright[80:110, 30:90] = EYES
    turned = np.rot90(upright).copy()
    for labels in (upright, turned):
        assert face_signals(face_of(labels))["eye_opening"] == pytest.approx(0.5)


def test_what_is_not_seen_has_no_opening() -> None:
    signals = face_signals(face_of(skin()))
    for name in ("left_eye_opening", "right_eye_opening", "eye_opening", "mouth_opening"):
        assert math.isnan(signals[name])
    labels = skin()
    labels[10:14, 60:70] = EYES  # an eye alone, in the right half
    labels[30, 5] = EYES  # a stray pixel is no eye
    labels[50:54, 30:50] = LIPS  # a shut mouth
    signals = face_signals(face_of(labels))
    assert math.isnan(signals["left_eye_opening"])
    assert signals["right_eye_opening"] == signals["eye_opening"] == pytest.approx(0.4)
    assert signals["mouth_opening"] == 0


def test_confidence_is_that_of_the_face_s_pixels() -> None:
    labels = np.zeros((10, 10), dtype=np.uint8)
    assert face_of(labels).confidence == 0
    labels[2:4, 2:4] = SKIN
    face = face_of(labels)
    face.crop_probabilities[:, 2, 2] = (0, 1, 0, 0, 0)
    face.crop_probabilities[0, 7, 7] = 1  # background does not count
    assert face.confidence == pytest.approx((1 + 3 * 0.6) / 4)
