"""Signals over time, drawn from the table of an extraction."""

import csv
import math
from pathlib import Path
from typing import TYPE_CHECKING, Final

from facemask.errors import InputError, cause_of
from facemask.files import write_atomic
from facemask.plotting import check_matplotlib, new_figure, run_colors, to_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PANELS: Final = (
    ("eye opening", ("eye_opening",)),
    ("mouth opening", ("mouth_opening",)),
    ("confidence", ("confidence",)),
    ("skin, pixels", ("area_skin",)),
)
_MOST_FACES: Final = 7

Series = dict[str, list[float]]


def picture_of(table: Path) -> Path:
    """Where the picture of a table's signals goes."""
    return table.with_suffix(".signals.png")


def plot_signals(table: Path) -> None:
    """Draw eye and mouth opening, confidence and size of every face over time.

    Of many faces the first seven are drawn.

    Args:
        table: CSV file of `facemask extract`; the PNG file beside it is `picture_of(table)`.

    Raises:
        InputError: matplotlib is not installed, the table is none of these, or the picture cannot
            be written.
    """
    check_matplotlib()
    faces, end = _read(table)
    figure = new_figure(10, 2 * len(_PANELS))
    axes = figure.subplots(len(_PANELS), sharex=True)
    for ax, (label, columns) in zip(axes, _PANELS, strict=True):
        _draw(ax, faces, columns)
        ax.set_ylabel(label)
        ax.grid(alpha=0.3)
        ax.set_ylim(bottom=0)
    axes[0].set_title(f"{table.stem}: signals of {len(faces)} face{'s' * (len(faces) != 1)}")
    axes[-1].set_xlabel("seconds")
    axes[-1].set_xlim(0, max(end, 1e-3))
    if len(faces) > 1:
        axes[0].legend(loc="upper right", ncols=_MOST_FACES)
    write_atomic(picture_of(table), to_png(figure))


def _draw(ax: "Axes", faces: dict[int, Series], columns: tuple[str, ...]) -> None:
    shown = list(faces.items())[:_MOST_FACES]
    for color, (face, series) in zip(run_colors(len(shown)), shown, strict=True):
        for column in columns:
            ax.plot(series["time"], series[column], color=color, linewidth=1, label=f"face {face}")


def _read(table: Path) -> tuple[dict[int, Series], float]:
    """Each face's signals, NaN where it is not seen in between, and the time of the last frame."""
    names = [column for _, columns in _PANELS for column in columns]
    faces: dict[int, Series] = {}
    last: dict[int, int] = {}
    end = 0.0
    try:
        with table.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                end = float(row["time"])
                if not row["face"]:
                    continue
                face, frame = int(row["face"]), int(row["frame"])
                series = faces.setdefault(face, {name: [] for name in ("time", *names)})
                if face in last and frame > last[face] + 1:
                    for values in series.values():
                        values.append(math.nan)
                last[face] = frame
                for name in ("time", *names):
                    series[name].append(float(row[name]) if row[name] else math.nan)
    except OSError as error:
        raise InputError(f"{table}: cannot read it: {cause_of(error)}.") from error
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{table}: is no table of `facemask extract`: {cause_of(error)}."
        ) from error
    return faces, end
