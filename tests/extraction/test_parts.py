"""Long videos: written in parts, and gone on with after the job was killed."""

from pathlib import Path

import numpy as np
import pytest

from facemask.cli import main
from facemask.extraction import outputs
from facemask.extraction.outputs import Outputs
from facemask.extraction.results import ExtractedFrame
from facemask.video import open_source
from tests.extraction.faces import random_cascade
from tests.video.videos import make_video, read_sound

SAVE = "overlay,labels,png,npz,csv"


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    random_cascade().save(tmp_path / "model.safetensors")
    make_video(tmp_path / "clip.mp4", 23, sound="aac", times=[n / 30 for n in range(23)])
    return ["extract", "clip.mp4", "--model", "model.safetensors", "--cropped", "--save", SAVE,
            "--temporal", "clip"]  # fmt: skip


def in_parts(monkeypatch: pytest.MonkeyPatch, frames: int) -> None:
    monkeypatch.setattr(outputs, "PART_FRAMES", frames)


def killed_at(index: int, arguments: list[str]) -> None:
    """Run until this frame is written."""
    write = Outputs.write

    def dies(outputs: Outputs, frame: ExtractedFrame) -> None:
        if frame.index == index:
            raise KeyboardInterrupt
        write(outputs, frame)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Outputs, "write", dies)
        with pytest.raises(SystemExit, match="130"):
            main(arguments)


def check_equal(folder: str, whole: str) -> None:
    assert Path(folder, "clip.csv").read_bytes() == Path(whole, "clip.csv").read_bytes()
    old, new = np.load(f"{whole}/clip.labels.npz"), np.load(f"{folder}/clip.labels.npz")
    assert sorted(old) == sorted(new)
    assert all((old[name] == new[name]).all() for name in old)
    names = sorted(path.name for path in Path(whole, "clip.labels").iterdir())
    assert sorted(path.name for path in Path(folder, "clip.labels").iterdir()) == names
    for kind in ("overlay.mp4", "labels.mkv"):
        with open_source(f"{folder}/clip.{kind}") as a, open_source(f"{whole}/clip.{kind}") as b:
            for new_frame, old_frame in zip(a, b, strict=True):
                assert new_frame.time == pytest.approx(old_frame.time, abs=1e-9)
                difference = np.abs(new_frame.image.astype(int) - old_frame.image)
                assert difference.mean() < (3 if kind == "overlay.mp4" else 1e-9)
    start, sound = read_sound(Path(folder, "clip.overlay.mp4"))
    old_start, old_sound = read_sound(Path(whole, "clip.overlay.mp4"))
    assert start == pytest.approx(old_start, abs=1e-3)
    np.testing.assert_array_equal(sound, old_sound)
    assert not list(Path(folder).glob(".*"))


def test_parts_make_the_same_whole(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    main([*arguments, "-o", "whole"])
    in_parts(monkeypatch, 10)
    main([*arguments, "-o", "parted"])
    check_equal("parted", "whole")


def test_a_killed_job_goes_on_after_its_last_part(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main([*arguments, "-o", "whole"])
    in_parts(monkeypatch, 5)
    killed_at(17, [*arguments, "-o", "parted"])
    assert [path.name for path in Path("parted").iterdir()] == [".clip.clip.overlay.mp4.parts"]
    main([*arguments, "-o", "parted", "--resume"])
    assert "clip: 15 frames before and 8 frames" in capsys.readouterr().err
    check_equal("parted", "whole")


def test_parts_of_other_settings_are_not_used(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    in_parts(monkeypatch, 5)
    for again in (["--resume", "--opacity", "0.2"], []):
        killed_at(12, [*arguments, "-o", "out"])
        main([*arguments, "-o", "out", *again])
        assert "clip: 23 frames, " in capsys.readouterr().err


def test_a_job_killed_between_two_joins_keeps_every_picture(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments[arguments.index(SAVE)] = "png,npz,labels,overlay,csv"
    main([*arguments, "-o", "whole"])
    in_parts(monkeypatch, 5)

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outputs, "join_videos", dies)
        with pytest.raises(SystemExit, match="130"):
            main([*arguments, "-o", "parted"])
    main([*arguments, "-o", "parted", "--resume"])
    check_equal("parted", "whole")
