"""Stages that work at the same time give what one after the other gives."""

import threading
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from facemask.cli import main
from facemask.extraction import extractor, outputs, run
from facemask.extraction.outputs import Outputs
from facemask.extraction.results import ExtractedFrame
from facemask.extraction.temporal import FaceLabeller
from facemask.video.decoding import VideoFile
from tests.extraction.faces import random_cascade
from tests.video.videos import make_video


def stages() -> int:
    """Number of threads but those that networks keep."""
    return sum(not thread.name.startswith("facemask-worker") for thread in threading.enumerate())


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    random_cascade().save(tmp_path / "model.safetensors")
    make_video(tmp_path / "clip.mp4", 33)
    return ["extract", "clip.mp4", "--model", "model.safetensors", "--cropped", "--save",
            "overlay,npz,alpha,csv"]  # fmt: skip


@pytest.mark.parametrize("temporal", ["window", "stream"])
def test_results_are_those_of_one_thread(
    temporal: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs, "PART_FRAMES", 10)
    before = stages()
    main([*arguments, "--temporal", temporal, "-o", "together"])
    assert stages() == before

    def in_turn(items: Iterable[object], most: int) -> Iterable[object]:
        assert most >= 2
        yield from items

    for module in (extractor, run):
        monkeypatch.setattr(module, "ahead", in_turn)
    main([*arguments, "--temporal", temporal, "-o", "in_turn"])
    names = sorted(file.name for file in Path("in_turn").iterdir())
    assert len(names) == 5
    for name in names:
        one, other = Path("together", name), Path("in_turn", name)
        if name.endswith(".npz"):  # each array has the time at which it was written
            arrays, others = np.load(one), np.load(other)
            assert arrays.files == others.files
            for key in arrays.files:
                np.testing.assert_array_equal(arrays[key], others[key])
        elif not name.endswith(".json"):  # which has the time of the source
            assert one.read_bytes() == other.read_bytes(), name


@pytest.mark.parametrize(
    ("stage", "method"), [(VideoFile, "_to_rgb"), (FaceLabeller, "label"), (Outputs, "write")]
)
def test_an_error_of_any_stage_is_the_one_told(
    stage: type, method: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = stages()
    calls = []
    works = getattr(stage, method)

    def breaks(*given: object, **named: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            raise ZeroDivisionError(method)
        return works(*given, **named)

    monkeypatch.setattr(stage, method, breaks)
    with pytest.raises(ZeroDivisionError, match=method):
        main([*arguments, "-o", "out"])
    assert stages() == before
    assert not Path("out").exists()  # nor an empty folder


def test_ctrl_c_leaves_nothing_half_done(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = stages()
    write = Outputs.write

    def interrupted(self: Outputs, frame: ExtractedFrame) -> None:
        if frame.index == 7:
            raise KeyboardInterrupt
        write(self, frame)

    monkeypatch.setattr(Outputs, "write", interrupted)
    with pytest.raises(SystemExit, match="130"):
        main([*arguments, "-o", "out"])
    assert (
        capsys.readouterr()
        .err.strip()
        .endswith("stopped by Ctrl-C: nothing is kept of the video that was being done.")
    )
    assert stages() == before
    assert not Path("out").exists()  # nor an empty folder
