"""Tests of the callback that writes predictions."""

from pathlib import Path

import pytest

from facemask.errors import InputError
from facemask.training.callbacks import LabelWriter


def test_predictions_need_a_folder_that_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    writer = LabelWriter(str(tmp_path / "file" / "out"))
    with pytest.raises(InputError, match="cannot write there"):
        writer.on_predict_start(None, None)  # type: ignore[arg-type]
