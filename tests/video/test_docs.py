import re
from pathlib import Path

import pytest

from tests.video.videos import make_video

PAGE = Path(__file__).parents[2] / "docs" / "video_io.md"


def test_the_snippets_of_the_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make_video(Path("clip.mp4"), 5, (96, 128), sound="aac")
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 2
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert capsys.readouterr().out == "all frames were fine\n"
    assert Path("out/clip.csv").read_text().splitlines()[2] == "1,0.04,3600"
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "clip.csv",
        "clip_overlay.mp4",
        "labels.mkv",
    ]
