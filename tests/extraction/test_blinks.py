"""`examples/blinks.py` on a table made by hand."""

import csv
import runpy
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "blinks.py"


def test_short_dips_of_the_eyes_area_are_blinks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Eight seconds, 25 frames/s: a blink, one whose eyes vanish, a second of shut eyes."""
    areas = [80.0] * 200
    areas[50:53] = [30, 10, 40]  # at 2.00 s
    areas[110:113] = [40, 0, 30]  # at 4.40 s
    areas[150:175] = [20] * 25  # too long for a blink
    table = tmp_path / "clip.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["time", "face", "area_skin", "area_eyes", "eye_opening", "mouth_opening"])
        for number, area in enumerate(areas):
            face = ["", ""] if number == 20 else [4000, area]  # a frame without the face
            opening = "" if area == 0 else 0.5  # the shape of what is left
            moves = 0.1 + 0.3 * (number % 2) if number < 50 else 0.1
            writer.writerow([number / 25, 0, *face, opening, moves])
    monkeypatch.setattr(sys, "argv", ["blinks.py", str(table)])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    said = capsys.readouterr().out
    assert said.startswith("2 blinks in 8.0 s: 15.1 a minute\n")  # in 199 intervals of 0.04 s
    # 50 frames move, and 6 see them within a quarter of a second
    assert "speaks in 28 % of the time" in said
    times, eyes, _ = runpy.run_path(str(EXAMPLE))["read"](table, 0)
    assert eyes[20] == pytest.approx(0.02)
    assert runpy.run_path(str(EXAMPLE))["blinks"](times, eyes) == [51 / 25, 111 / 25]
