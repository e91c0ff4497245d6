import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from facemask.app.extraction import Choices, Extractions, redraw
from facemask.app.sample import find_portrait, sample_clip
from facemask.classes import FACE_CLASSES
from facemask.errors import InputError
from facemask.video import open_source
from tests.extraction.faces import write_video

CROPPED = Choices("small", "window", "auto", cropped=True)


def ignore(done: int, total: int | None) -> None:
    pass


def test_all_files_of_one_video(model: Path, clip: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    extractions = Extractions({"small": model}, tmp_path, "cpu")
    result = extractions.run(clip, CROPPED, lambda *values: told.append(values))
    assert told == [(n, 15) for n in range(1, 16)]
    assert (result.frames, result.with_face, result.roll, result.problem) == (15, 15, 0.0, None)
    assert result.seconds > 0
    assert {kind: path.name for kind, path in result.files.items()} == {
        "overlay": "clip.overlay.mp4", "csv": "clip.csv", "labels": "clip.labels.mkv",
        "npz": "clip.labels.npz", "plot": "clip.signals.png",
    }  # fmt: skip
    with result.files["csv"].open(newline="") as file:
        assert [row["face"] for row in csv.DictReader(file)] == ["0"] * 15
    assert np.load(result.files["npz"])["000015"].shape == (64, 64)
    with open_source(str(result.files["overlay"])) as overlay:
        assert sum(1 for _ in overlay) == 15
    assert result.files["plot"].read_bytes().startswith(b"\x89PNG")

    again = extractions.run(clip, CROPPED, ignore)  # into a folder of its own
    assert again.files["csv"].parent != result.files["csv"].parent
    assert again.files["csv"].read_bytes() == result.files["csv"].read_bytes()


def frames_of(path: Path) -> npt.NDArray[np.int64]:
    with open_source(str(path)) as source:
        return np.stack([frame.image for frame in source]).astype(np.int64)


def test_an_overlay_is_drawn_anew_from_the_saved_labels(
    model: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extractions = Extractions({"small": model}, tmp_path, "cpu")
    turned = Choices("small", "window", "auto", cropped=True, rotate=90)
    skin, every = (extractions.run(clip, turned, ignore, s) for s in (("skin",), FACE_CLASSES))
    monkeypatch.setattr(Extractions, "extractor", None)  # no network is asked again
    told: list[tuple[int, int | None]] = []
    path = redraw(skin, FACE_CLASSES, lambda *values: told.append(values))
    assert (path.name, told) == ("clip.overlay.mp4", [(n, 15) for n in range(1, 16)])
    apart = np.abs(frames_of(path) - frames_of(every.files["overlay"]))  # x264's threads differ
    assert apart.mean() < 1
    none = frames_of(redraw(skin, (), ignore))
    labels = np.load(skin.files["npz"])
    drawn = np.abs(frames_of(skin.files["overlay"]) - none).sum(axis=-1)
    for frame, name in zip(drawn, labels.files, strict=True):
        assert frame[labels[name] == 1].mean() > 20
    assert redraw(skin, FACE_CLASSES, lambda *_: pytest.fail("it is there")) == path


def test_redrawing_that_is_stopped_leaves_no_file(model: Path, clip: Path, tmp_path: Path) -> None:
    result = Extractions({"small": model}, tmp_path, "cpu").run(clip, CROPPED, ignore)

    def stop(done: int, total: int | None) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        redraw(result, ("lips",), stop)
    assert list(result.overlays) == [FACE_CLASSES]
    assert list((result.files["csv"].parent / "lips").iterdir()) == []


def test_a_video_without_a_face_has_no_plot(model: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "grey.mp4", [np.full((64, 64, 3), 120, np.uint8)] * 3)
    choices = Choices("small", "off", "auto", cropped=False)
    result = Extractions({"small": model}, tmp_path, "cpu").run(video, choices, ignore)
    assert (result.with_face, list(result.files)) == (0, ["overlay", "csv", "labels", "npz"])


def test_samples(tmp_path: Path) -> None:
    clip = sample_clip(tmp_path)
    with open_source(str(clip)) as source:
        assert (source.frame_count, source.width, source.height) == (75, 480, 360)
    written = clip.stat().st_mtime_ns
    assert sample_clip(tmp_path).stat().st_mtime_ns == written
    portrait = find_portrait()
    assert portrait is None or portrait.name == "grace_hopper.jpg"


def test_only_the_model_used_last_stays_in_memory(model: Path, clip: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    other.write_bytes(model.read_bytes())
    extractions = Extractions({"small": model, "other": other}, tmp_path, "cpu")
    extractions.run(clip, CROPPED, ignore)
    other.write_text("no model")
    with pytest.raises(InputError, match=r"other\.safetensors: "):
        extractions.run(clip, Choices("other", "off", "auto", cropped=True), ignore)
    extractions.run(clip, CROPPED, ignore)


def test_what_ends_early_leaves_no_file(model: Path, clip: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int | None) -> None:
        if done == 7:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        Extractions({"small": model}, tmp_path, "cpu").run(clip, CROPPED, stop)
    assert list(tmp_path.iterdir()) == []


def test_wrong_input(model: Path, clip: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    extractions = Extractions({"small": model}, tmp_path, "cpu")
    cases = {
        r"broken\.mp4: ": (broken, CROPPED),
        "the model is 'large': choose": (clip, Choices("large", "off", "auto", cropped=True)),
        "temporal is 'past'": (clip, Choices("small", "past", "auto", cropped=True)),
        "the detector is 'eyes'": (clip, Choices("small", "off", "eyes", cropped=False)),
    }
    for said, (video, choices) in cases.items():
        with pytest.raises(InputError, match=said):
            extractions.run(video, choices, ignore)
    assert list(tmp_path.iterdir()) == [broken]
    with pytest.raises(InputError, match=r"broken\.mp4: "):  # the only model: told at once
        Extractions({"broken": broken}, tmp_path, "cpu")
    with pytest.raises(InputError, match="device 'tpu'"):
        Extractions({"small": model}, tmp_path, "tpu")
