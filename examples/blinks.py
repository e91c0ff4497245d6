"""Blinks a minute and the share of time that someone speaks, from the table of `facemask extract`.

    facemask extract clip.mp4 -o masks --save csv
    python examples/blinks.py masks/clip.csv --plot blinks.png

A blink is a dip of the eyes' area over the skin's below 0.6 of what is usual then (the median of
two seconds) that lasts at most 0.4 s; longer ones are eyes that are shut or look down. The area
says it better than `eye_opening`, the shape of what is left of an eye: one that vanishes has no
shape. Someone speaks where the mouth's opening changes: its standard deviation within half a second
is above 0.04.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.ndimage import generic_filter, label, median_filter

Floats = npt.NDArray[np.float64]

DIP, LONGEST, USUAL = 0.6, 0.4, 2.0
SPEAKING, AROUND = 0.04, 0.5


def read(table: Path, face: int) -> tuple[Floats, Floats, Floats]:
    """Return times, eyes' area over skin's and mouth opening of one face; gaps filled linearly."""
    with table.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["face"] == str(face)]
    if not rows:
        raise SystemExit(f"{table}: has no face {face}.")
    names = ("time", "area_eyes", "area_skin", "mouth_opening")
    times, eyes, skin, mouth = (
        np.array([float(row[name] or "nan") for row in rows]) for name in names
    )
    share = eyes / np.where(skin > 0, skin, np.nan)
    for column in (share, mouth):
        seen = ~np.isnan(column)
        column[~seen] = np.interp(times[~seen], times[seen], column[seen])
    return times, share, mouth


def blinks(times: Floats, eyes: Floats) -> list[float]:
    """Return the times of blinks, each of its most shut frame."""
    usual = median_filter(eyes, _frames(times, USUAL), mode="nearest")
    dips, count = label(eyes < DIP * usual)
    found = []
    for number in range(1, count + 1):
        frames = np.flatnonzero(dips == number)
        if times[frames[-1]] - times[frames[0]] <= LONGEST:
            found.append(float(times[frames[np.argmin(eyes[frames])]]))
    return found


def speaking(times: Floats, opening: Floats) -> npt.NDArray[np.bool_]:
    """Return for each frame whether the mouth moves around it."""
    return generic_filter(opening, np.std, _frames(times, AROUND), mode="nearest") > SPEAKING


def _frames(times: Floats, seconds: float) -> int:
    return max(1, round(seconds / float(np.median(np.diff(times)))) | 1)


def main() -> None:
    """Print both figures, and draw them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--face", type=int, default=0)
    parser.add_argument("--plot", type=Path, help="PNG or PDF to draw")
    options = parser.parse_args()
    times, eyes, mouth = read(options.table, options.face)
    found, speaks = blinks(times, eyes), speaking(times, mouth)
    minutes = (times[-1] - times[0]) / 60
    print(f"{len(found)} blinks in {60 * minutes:.1f} s: {len(found) / minutes:.1f} a minute")
    print(f"speaks in {100 * speaks.mean():.0f} % of the time")
    if options.plot is None:
        return
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3), layout="constrained")
    upper, lower = figure.subplots(2, sharex=True)
    upper.plot(times, 100 * eyes, color="#0072B2", linewidth=1)
    upper.plot(found, 100 * np.interp(found, times, eyes), "v", color="#D55E00", label="blink")
    upper.set(ylabel="eyes / skin, %", ylim=(0, None))
    lower.plot(times, mouth, color="#0072B2", linewidth=1)
    lower.fill_between(
        times, 0, 1, where=speaks, transform=lower.get_xaxis_transform(), color="#009E73",
        alpha=0.2, linewidth=0, label="speaks",
    )  # fmt: skip
    lower.set(ylabel="mouth opening", xlabel="seconds", ylim=(0, None))
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="lower right", bbox_to_anchor=(1, 0.95), frameon=False)
    figure.savefig(options.plot, dpi=200)


if __name__ == "__main__":
    main()
