"""Signals of masks whose shapes are known."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facemask.boxes import Box, Crop
from facemask.classes import EYES, INNER_MOUTH, LIPS, NUM_CLASSES, SKIN
from facemask.confidence import ConfidenceFit
from facemask.extraction import SIGNALS, ExtractedFace, ExtractedFrame, face_signals
from facemask.extraction.signals import COLUMNS, plot_signals, table_rows
from facemask.turned import TurnedBox, wrapped

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


def one_eyed_wink() -> Labels:
    """A face, 60 × 80, whose left eye is wide open and whose right one is nearly shut."""
    labels = skin()
    labels[12:20, 8:24] = EYES  # 8 × 16
    labels[15:17, 50:70] = EYES  # 2 × 20
    labels[40:52, 20:50] = LIPS
    labels[43:49, 25:45] = INNER_MOUTH
    return labels


def turned(upright: Labels, quarters: int, left: int = 0, top: int = 0) -> ExtractedFace:
    """The face turned clockwise by quarters of a circle; its box begins at this corner."""
    height, width = upright.shape
    labels = np.ascontiguousarray(np.rot90(upright, -quarters))
    face = face_of(labels)
    x, y = left + labels.shape[1] / 2, top + labels.shape[0] / 2
    return replace(
        face, roll=wrapped(90.0 * quarters), frame_size=(300, 400),
        box=Crop(left, top, left + labels.shape[1], top + labels.shape[0]),
        upright_box=Box(x - width / 2, y - height / 2, x + width / 2, y + height / 2),
    )  # fmt: skip


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_left_and_right_are_those_of_the_upright_face(quarters: int) -> None:
    for labels in (one_eyed_wink(), one_eyed_wink() * (np.arange(80) > 40).astype(np.uint8)):
        upright = face_signals(face_of(labels))
        signals = face_signals(turned(labels, quarters, 30, 170))
        assert signals == pytest.approx(upright, nan_ok=True)
    assert upright["right_eye_opening"] == pytest.approx(0.1)
    assert math.isnan(upright["left_eye_opening"])


def test_left_and_right_in_pixels_that_are_not_square() -> None:
    face = turned(one_eyed_wink(), 1)
    labels = face.crop_labels[:, ::2]  # pixels twice as wide as they are high
    assert face.upright_box is not None
    narrow = TurnedBox(face.upright_box, face.roll).scaled(0.5, 1.0)
    stored = replace(face_of(labels), pixel_aspect=2.0, roll=narrow.roll, upright_box=narrow.box)
    signals = face_signals(stored)
    assert signals["left_eye_opening"] == pytest.approx(8 / 16, rel=0.05)
    assert signals["right_eye_opening"] == pytest.approx(2 / 20, rel=0.3)


def test_rows_of_the_table() -> None:
    labels = one_eyed_wink()
    upright = face_of(labels)
    lying = replace(turned(labels, 3, 101, 20), track_id=4)
    tilted = replace(lying, track_id=5, roll=-0.001, upright_box=Box(10.126, -3.0, 90.5, 60.0))
    image = np.zeros((300, 400, 3), dtype=np.uint8)
    rows = table_rows(ExtractedFrame(7, 0.28, image, [upright, lying, tilted], "seven.png"))
    names = ("face", "left", "top", "right", "bottom", "roll")
    assert [[str(row[name]) for name in names] for row in rows] == [
        ["0", "0", "0", "80", "60", "0.00"],
        ["4", "91.00", "30.00", "171.00", "90.00", "-90.00"],
        ["5", "10.13", "-3.00", "90.50", "60.00", "0.00"],
    ]
    assert set(rows[0]) == {*COLUMNS, "picture"}
    assert table_rows(ExtractedFrame(8, 0.32, image, [])) == [{"frame": 8, "time": "0.320000"}]


def test_a_table_of_earlier_versions_is_drawn(tmp_path: Path) -> None:
    columns = [name for name in COLUMNS if name != "roll"]
    row = dict.fromkeys(columns, "1")
    (tmp_path / "old.csv").write_text(f"{','.join(columns)}\n{','.join(row.values())}\n")
    plot_signals(tmp_path / "old.csv", tmp_path / "old.png")
    assert (tmp_path / "old.png").read_bytes().startswith(b"\x89PNG")


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


def test_confidence_is_the_mean_iou_to_expect() -> None:
    labels = np.zeros((10, 10), dtype=np.uint8)
    assert face_of(labels).confidence == 0
    assert replace(face_of(labels), confidence_fit=ConfidenceFit()).is_unsure
    labels[2:8, 2:8] = SKIN  # 36
    labels[3:5, 3:7] = EYES  # 8 of them
    labels[6, 3:7] = LIPS  # and 4
    plain = face_of(labels)
    # a class's own pixels have 0.6 of it, all others 0.1
    skin, eyes, lips = (n * 0.6 / (n + (100 - n) * 0.1) for n in (24, 8, 4))
    parts = plain.part_confidences
    assert list(parts) == ["skin", "eyes", "lips", "inner_mouth"]
    assert list(parts.values())[:3] == pytest.approx([skin, eyes, lips])
    assert math.isnan(parts["inner_mouth"])
    assert plain.confidence == pytest.approx((skin + eyes + lips) / 3)
    assert not plain.is_unsure  # what is not calibrated says nothing
    low = replace(plain, confidence_fit=ConfidenceFit())
    assert low.confidence == plain.confidence
    assert low.is_unsure

    fit = ConfidenceFit((3.0, 3.0, 3.0, 3.0), missed=(1.0, 1.0, 1.0, 0.5))
    face = replace(plain, confidence_fit=fit)  # odds are e^3 times as good
    odds = [math.exp(3) * iou / (1 - iou) for iou in (skin, eyes, lips)]
    ious = [x / (1 + x) for x in odds]
    assert face.confidence == pytest.approx(sum(ious) / 3.5)
    assert not face.is_unsure
    image = np.zeros((10, 10, 3), np.uint8)
    sure, unsure = (ExtractedFrame(0, 0.0, image, faces) for faces in ([face], [face, low]))
    assert (sure.is_unsure, unsure.is_unsure) == (False, True)
    assert not ExtractedFrame(0, 0.0, image, []).is_unsure
    rows = table_rows(ExtractedFrame(0, 0.0, image, [face, low, plain]))
    assert [row["unsure"] for row in rows] == [0, 1, ""]
    assert rows[2]["confidence"] == rows[1]["confidence"]
    assert rows[0]["confidence"] == f"{face.confidence:.4f}"
    assert rows[0]["confidence_eyes"] == f"{ious[1]:.4f}"
    assert rows[0]["confidence_inner_mouth"] == ""
