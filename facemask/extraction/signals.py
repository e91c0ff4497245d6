"""Signals, which are numbers of a face's mask over time: their table and their plot."""

import csv
import math
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from facemask.classes import CLASS_NAMES, EYES, FACE_CLASSES, INNER_MOUTH, LIPS
from facemask.errors import InputError, cause_of
from facemask.extraction.results import ExtractedFace, ExtractedFrame
from facemask.files import write_atomic
from facemask.naming import counted
from facemask.plotting import check_matplotlib, new_figure, run_colors, to_png

_AREAS: Final = tuple(f"area_{name.replace(' ', '_')}" for name in CLASS_NAMES[1:])
SIGNALS: Final = (*_AREAS, "left_eye_opening", "right_eye_opening", "eye_opening", "mouth_opening")
"""Names of the signals, in order."""
_CONFIDENCES: Final = tuple(f"confidence_{name.replace(' ', '_')}" for name in FACE_CLASSES)
COLUMNS: Final = (
    "frame", "time", "face", "left", "top", "right", "bottom", "roll", "score", "confidence",
    "unsure", *SIGNALS, *_CONFIDENCES,
)  # fmt: skip
"""Columns of the table; a frame without a face has one row with frame and time alone.

Of pictures, `picture` comes after them: the file's name. The edges are those of the upright box,
which is turned clockwise by `roll` degrees about its centre, so that the table can be given as the
boxes of the same video (`BoxesFile`).
"""

_SECOND_EYE: Final = 0.2
"""Least area of the second eye over the first's; smaller ones are stray pixels."""
_PANELS: Final = {
    "eye_opening": "eye opening",
    "mouth_opening": "mouth opening",
    "confidence": "confidence",
    "area_skin": "skin, pixels",
}
"""Columns of the table that are drawn, and their labels."""
_MOST_FACES: Final = 7


def face_signals(face: ExtractedFace) -> dict[str, float]:
    """Return areas and openings of one face of one frame.

    An opening is how high something is over how wide, both measured as the standard deviation of
    its pixels along its short and its long axis, so that it changes neither with the face's size
    nor with its roll nor with the shape of the video's pixels. It is 0 where something is shut and
    about 0.3 for an open eye.

    Args:
        face: One face.

    Returns:
        By the names in `SIGNALS`: areas in pixels of the frame; the openings of the eyes and
        their mean (NaN for an eye that is not seen: shut tight, hidden or in profile), where the
        left one is on the left of the image when that is turned so that the face is upright;
        and the height of the inner mouth over the width of the mouth, 0 for a shut mouth and
        NaN without one.
    """
    labels, aspect = face.crop_labels, face.pixel_aspect
    counts = np.bincount(labels.ravel(), minlength=len(CLASS_NAMES))
    signals = {name: float(counts[i]) for i, name in enumerate(_AREAS, start=1)}
    left, right = _eye_openings(face)
    seen = [opening for opening in (left, right) if not math.isnan(opening)]
    signals["left_eye_opening"], signals["right_eye_opening"] = left, right
    signals["eye_opening"] = sum(seen) / len(seen) if seen else math.nan
    signals["mouth_opening"] = _mouth_opening(labels, aspect)
    return signals


def _eye_openings(face: ExtractedFace) -> tuple[float, float]:
    eyes = (face.crop_labels == EYES).astype(np.uint8)
    count, ids, stats, centres = cv2.connectedComponentsWithStats(eyes)
    areas = stats[1:, cv2.CC_STAT_AREA]
    if count == 1:
        return math.nan, math.nan
    largest = np.argsort(-areas, kind="stable")[:2]
    parts = [int(i) + 1 for i in largest if areas[i] >= _SECOND_EYE * areas[largest[0]]]
    upright = face.turned_box.scaled(face.pixel_aspect, 1.0)
    points = (centres[parts] + 0.5 + (face.box.left, face.box.top)) * (face.pixel_aspect, 1.0)
    x = upright.to_upright(points)[:, 0]
    sizes = [_deviations(ids == i, face.pixel_aspect) for i in parts]
    openings = [short / long for short, long in sizes]
    if len(openings) == 2:
        return (openings[0], openings[1]) if x[0] <= x[1] else (openings[1], openings[0])
    on_the_left = x[0] < upright.box.width / 2
    return (openings[0], math.nan) if on_the_left else (math.nan, openings[0])


def _mouth_opening(labels: npt.NDArray[np.uint8], aspect: float) -> float:
    inner = labels == INNER_MOUTH
    mouth = inner | (labels == LIPS)
    if not mouth.any():
        return math.nan
    if not inner.any():
        return 0.0
    return _deviations(inner, aspect)[0] / _deviations(mouth, aspect)[1]


def _deviations(mask: npt.NDArray[np.bool_], aspect: float) -> tuple[float, float]:
    """Return the pixels' standard deviation along the short and the long axis, in pixel heights."""
    pixels = mask.astype(np.uint8)
    left, top, width, height = cv2.boundingRect(pixels)
    inside = pixels[top : top + height, left : left + width]
    moments = cv2.moments(inside, binaryImage=True)
    down, across, both = (moments[f"mu{power}"] / moments["m00"] for power in ("02", "20", "11"))
    covariance = np.array([[down, aspect * both], [aspect * both, aspect**2 * across]])
    covariance += np.diag([1, aspect**2]) / 12  # of a pixel itself
    short, long = np.linalg.eigvalsh(covariance)
    return math.sqrt(short), math.sqrt(long)


def table_rows(frame: ExtractedFrame) -> list[dict[str, object]]:
    """Return the rows of one frame: one a face, or one without a face."""
    start: dict[str, object] = {"frame": frame.index, "time": f"{frame.time:.6f}"}
    if frame.picture is not None:
        start["picture"] = frame.picture
    rows = []
    for face in frame.faces:
        box, roll = face.turned_box
        places = 0 if face.upright_box is None else 2
        row = start | {"face": face.track_id}
        row |= {name: _fixed(edge, places) for name, edge in box._asdict().items()}
        row |= {"roll": _fixed(roll, 2), "score": _fixed(face.score, 3)}
        unsure = "" if face.confidence_fit is None else int(face.is_unsure)
        row |= {"confidence": _fixed(face.confidence, 4), "unsure": unsure}
        row |= {name: _number(value) for name, value in face_signals(face).items()}
        parts = zip(_CONFIDENCES, face.part_confidences.values(), strict=True)
        rows.append(row | {name: _number(value) for name, value in parts})
    return rows or [start]


def _fixed(value: float, places: int) -> str:
    return f"{round(value, places) + 0.0:.{places}f}"  # + 0.0: no sign before zeros


def _number(value: float) -> str:
    if math.isnan(value):
        return ""
    return f"{value:.0f}" if value == round(value) else f"{value:.4f}"


def plot_signals(table: Path, picture: Path) -> bool:
    """Draw eye and mouth opening, confidence and size of every face over time.

    Of many faces the first seven are drawn.

    Args:
        table: A CSV file of `facemask extract`.
        picture: The PNG file to write.

    Returns:
        Whether there is a face; without one nothing is written.

    Raises:
        InputError: matplotlib is not installed, the table is none of these, or the picture cannot
            be written.
    """
    check_matplotlib()
    faces, end = _read(table)
    if not faces:
        return False
    shown = list(faces.items())[:_MOST_FACES]
    figure = new_figure(10, 2 * len(_PANELS))
    axes = figure.subplots(len(_PANELS), sharex=True)
    for ax, (column, label) in zip(axes, _PANELS.items(), strict=True):
        for color, (face, series) in zip(run_colors(len(shown)), shown, strict=True):
            ax.plot(series["time"], series[column], color=color, linewidth=1, label=f"face {face}")
        ax.set_ylabel(label)
        ax.grid(alpha=0.3)
        ax.set_ylim(bottom=0)
    axes[0].set_title(f"{table.stem}: signals of {counted(len(faces), 'face')}")
    axes[-1].set_xlabel("seconds")
    axes[-1].set_xlim(0, max(end, 1e-3))
    if len(faces) > 1:
        axes[0].legend(loc="upper right", ncols=_MOST_FACES)
    write_atomic(picture, to_png(figure))
    return True


def _read(table: Path) -> tuple[dict[int, dict[str, list[float]]], float]:
    """Return each face's signals, NaN where it is not seen in between, and the last time."""
    faces: dict[int, dict[str, list[float]]] = {}
    last: dict[int, int] = {}
    end = 0.0
    try:
        with table.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                end = float(row["time"])
                if not row["face"]:
                    continue
                face, frame = int(row["face"]), int(row["frame"])
                series = faces.setdefault(face, {name: [] for name in ("time", *_PANELS)})
                unseen = face in last and frame > last[face] + 1
                last[face] = frame
                for name, values in series.items():
                    values += [math.nan] * unseen
                    values.append(float(row[name]) if row[name] else math.nan)
    except OSError as error:
        raise InputError(f"{table}: cannot read it: {cause_of(error)}.") from error
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{table}: is no table of `facemask extract`: {cause_of(error)}."
        ) from error
    return faces, end
