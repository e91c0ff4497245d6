"""Templates of 189 points of made-up faces."""

from pathlib import Path

import numpy as np
from scipy.interpolate import CubicSpline

from tests.faces import Points

JAW = [109, 185, 110, 186, 111, *range(125, 134), 114, 188, 113, 187, 112]
# iBUG's points, counted from 0, that a line of the template follows, and the line's points
LINES: list[tuple[list[int], list[int]]] = [
    (list(range(17)), JAW),
    ([36, 37, 38, 39], [18, 19, 20, 21, 22]),
    ([36, 41, 40, 39], [18, 28, 29, 30, 22]),
    ([42, 43, 44, 45], [23, 24, 25, 26, 27]),
    ([42, 47, 46, 45], [23, 31, 32, 33, 27]),
    ([48, 49, 50, 51, 52, 53, 54], list(range(87, 94))),
    ([48, 59, 58, 57, 56, 55, 54], [87, 104, 105, 106, 107, 108, 93]),
    ([48, 60, 61, 62, 63, 64, 54], [87, 94, 95, 96, 97, 98, 93]),
    ([48, 60, 67, 66, 65, 64, 54], [87, 99, 100, 101, 102, 103, 93]),
    ([17, 18, 19, 20, 21], [71, 72, 73, 74, 75, 76]),
    ([22, 23, 24, 25, 26], [77, 78, 79, 80, 81, 82]),
]
# points of the nose, each of which lies at one of iBUG's
NOSE = {27: (51, 57), 28: (52, 58), 29: (53, 59), 30: (54, 60), 31: (64,), 32: (170, 180),
        33: (55,), 34: (172, 181), 35: (69,)}  # fmt: skip


def template_of(points: Points) -> Points:
    """A template (189, 2) whose lines follow the outlines of a face of 68 points."""
    template = np.full((189, 2), -7.0)  # what no line uses
    for known, line in LINES:
        curve = CubicSpline(np.arange(len(known)), points[known])
        template[line] = curve(np.linspace(0, len(known) - 1, len(line)))
    # the template's brows end lower than iBUG's on the inside
    for ends, last, before in ((76, 21, 20), (77, 22, 23)):
        template[ends] = points[last] + 0.35 * (points[last] - points[before])
    for known_point, places in NOSE.items():
        apart = np.linspace(-2, 2, len(places))[:, None] * (1, 0) if len(places) > 1 else 0
        template[list(places)] = points[known_point] + apart
    return template


def write_tem(path: Path, template: Points, tail: str = "") -> Path:
    """Write a template as Psychomorph does."""
    lines = "".join(f"{x:.2f} {y:.2f}\n" for x, y in template)
    path.write_text(f"{len(template)}\n{lines}{tail}")
    return path
