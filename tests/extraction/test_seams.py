"""A long extraction that was stopped and gone on with equals one that was not."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from facemask.boxes import Box
from facemask.cli import main
from facemask.extraction import command, outputs, plan
from facemask.extraction.corrections import Correction
from facemask.extraction.journal import Journal
from facemask.models import Cascade
from facemask.models.cascade.clips import CascadeMemory
from facemask.tracking.detection import Detection
from tests.extraction.faces import Image, paint, paint_labels, random_cascade, reader
from tests.extraction.test_parts import killed_at

PART, FRAMES, CUT = 20, 66, 33


class ColourDetector:
    """Sees each painted face where its skin is, off by a few pixels that differ by picture."""

    def detect(self, image: Image) -> list[Detection]:
        skin = (image.max(axis=2) > 200).astype(np.uint8)
        count, _, stats, _ = cv2.connectedComponentsWithStats(skin)
        wrong = int(image.sum()) % 7 - 3  # scatters, but the same for the same picture
        found = []
        for left, top, width, height, area in stats[1:count].tolist():
            if area > 200:
                x, y = left + width / 2 + wrong, top + height / 2 - wrong
                found.append(Detection(Box.around(x, y, 1.25 * max(width, height)), 0.9))
        return sorted(found, key=lambda face: -face.box.side)


def film(folder: Path) -> None:
    """A face that moves and grows, one that comes, goes and comes back, and a cut."""
    folder.mkdir()
    rng = np.random.default_rng(5)
    grounds = rng.integers(0, 90, (2, 15, 25, 3)).astype(np.uint8)
    for t in range(FRAMES):
        cut = t >= CUT
        labels = paint_labels(120, 200, (55 if cut else 60) + 0.6 * t, 62, 60 + 0.3 * t)
        if 12 <= t < 18 or 24 <= t < 46:
            labels = np.maximum(labels, paint_labels(120, 200, 168, 40, 44))
        picture = cv2.resize(grounds[int(cut)], (200, 120), interpolation=cv2.INTER_CUBIC)
        picture[labels > 0] = paint(labels)[labels > 0]
        cv2.imwrite(str(folder / f"{t:03d}.png"), picture[..., ::-1])


@pytest.mark.parametrize(
    ("temporal", "cascade"),
    [
        ("window", random_cascade), ("window", reader), ("clip", random_cascade),
        ("stream", random_cascade), ("smooth", reader), ("off", reader),
    ],
)  # fmt: skip
def test_as_without_the_kill(
    temporal: str,
    cascade: Callable[[int], Cascade],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    film(tmp_path / "film")
    monkeypatch.setattr(plan, "open_detector", lambda *_: ColourDetector())
    model = cascade(64)
    monkeypatch.setattr("facemask.weights.load.load_model", lambda *_, **__: model)
    monkeypatch.setattr(command, "find_weights", lambda _: tmp_path / "film" / "000.png")
    arguments = ["extract", "film", "--save", "csv,npz", "--temporal", temporal, "--every", "4"]
    main([*arguments, "-o", "whole"])
    monkeypatch.setattr(outputs, "PART_FRAMES", PART)
    main([*arguments, "-o", "parted"])
    killed_at(28, [*arguments, "-o", "resumed"])
    killed_at(63, [*arguments, "-o", "resumed", "--resume"])
    capsys.readouterr()
    main([*arguments, "-o", "resumed", "--resume"])
    assert "60 frames before and 6 frames" in capsys.readouterr().err
    table = Path("whole/film.csv").read_bytes()
    assert len(set(np.loadtxt("whole/film.csv", delimiter=",", skiprows=1, usecols=0))) == FRAMES
    for folder in ("parted", "resumed"):
        assert Path(folder, "film.csv").read_bytes() == table
        whole, other = (np.load(f"{name}/film.labels.npz") for name in ("whole", folder))
        assert sorted(whole) == sorted(other)
        assert all(np.array_equal(whole[name], other[name]) for name in whole)


def test_what_is_kept(tmp_path: Path) -> None:
    journal, read = Journal(), Journal()
    state = (torch.rand(1, 5, 3, 3), torch.rand(1, 5, 3, 3))
    for count in (5, 10, 15, 20):
        memory = CascadeMemory({"primary": state}, {"eyes": Box(0.1, 0.2, 0.3, count)})
        box = Box(1.25, 2.5, 3.0, count / 3)
        journal.note(count, [Correction(4, box, 1), Correction(7, None, 0)], {4: memory})
    journal.save(tmp_path / "a", 5, 15)
    assert read.load(tmp_path / "a")
    assert read.corrections == {count: journal.corrections[count] for count in (10, 15)}
    memory = read.memories.get(15, {})[4]
    assert memory.boxes == {"eyes": Box(0.1, 0.2, 0.3, 15)}
    assert all(torch.equal(*pair) for pair in zip(memory.states["primary"], state, strict=True))


@pytest.mark.parametrize("damage", [b"", b"no zip", None])
def test_a_part_without_what_is_known_is_done_again(damage: bytes | None, tmp_path: Path) -> None:
    if damage is not None:
        (tmp_path / "a").write_bytes(damage)
    assert not Journal().load(tmp_path / "a")
    torch.save({"corrections": {5: "?"}, "memories": {}}, tmp_path / "b")
    assert not Journal().load(tmp_path / "b")
