"""`facemask extract --fps`: of raw streams and folders, which store no times."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from facemask.cli import main
from tests.extraction.faces import random_cascade
from tests.video.recordings import encode_raw, record, times_of
from tests.video.videos import picture


@pytest.mark.parametrize("fps", [None, 50])
def test_rate_of_what_stores_no_times(tmp_path: Path, fps: int | None) -> None:
    random_cascade().save(tmp_path / "model.safetensors")
    encode_raw(tmp_path / "raw.h264", "libx264")
    record(tmp_path / "stored.mp4", np.arange(30) / 20, fps=20, sound=None)
    (tmp_path / "folder").mkdir()
    for number in range(30):
        cv2.imwrite(str(tmp_path / f"folder/{number}.png"), picture(number, 48, 64)[..., ::-1])
    inputs = [str(tmp_path / name) for name in ("raw.h264", "stored.mp4", "folder")]
    main(["extract", *inputs, "--cropped=true", f"--model={tmp_path / 'model.safetensors'}",
          f"--out={tmp_path / 'out'}", *([] if fps is None else [f"--fps={fps}"])])  # fmt: skip
    # the header says 30, the file 20, and a folder nothing
    rates = {"raw": fps or 30, "stored": 20, "folder": fps or 25}
    for name, rate in rates.items():
        with (tmp_path / f"out/{name}.csv").open(newline="") as file:
            times = [float(row["time"]) for row in csv.DictReader(file)]
        np.testing.assert_allclose(times, np.arange(30) / rate, atol=1e-4)
        written = times_of(tmp_path / f"out/{name}.overlay.mp4")
        np.testing.assert_allclose(written, np.arange(30) / rate, atol=1e-4)


def test_rate_must_be_positive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    encode_raw(tmp_path / "raw.h264", "libx264")
    with pytest.raises(SystemExit):
        main(["extract", str(tmp_path / "raw.h264"), "--fps=0"])
    assert "fps is 0.0, expected more than 0." in capsys.readouterr().err
