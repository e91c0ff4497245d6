"""The example that tells whether labels lie beside what they mark."""

import runpy
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_labels_that_lie_up_and_left_agree_best_when_moved_down_and_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    agreement = runpy.run_path(str(EXAMPLES / "label_offset.py"))["agreement"]
    mask = np.zeros((20, 24), np.uint8)
    mask[8:11, 9:14] = 2  # 3 high, 5 wide
    truth = np.zeros_like(mask)
    truth[7:10, 7:12] = 2  # one up, two to the left
    found = {
        (x, y): agreement([mask], [truth], x, y, 2) for x in range(-2, 3) for y in range(-2, 3)
    }
    assert max(found, key=lambda shift: found[shift]) == (2, 1)
    assert found[2, 1] == 100
    assert found[0, 0] == pytest.approx(100 * 6 / 24)  # 2 rows of 3 columns shared of 15 + 15
    assert agreement([mask], [truth], 0, 0, 3) == 0
