import json
import re
import shutil
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from facemask.errors import InputError
from facemask.report.command import report
from tests.report.runs import write_run

FILES = [
    "consistency.csv", "figure5.png", "figure6.png", "report.html", "report.md", "runs.csv",
    "subjects.csv", "table4.csv", "table9.csv",
]  # fmt: skip
NASTY = "A | <b>bold</b> & $x_1$"


@pytest.fixture(scope="module")
def written(workplace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of two runs, one with a name that means something to every format."""
    out = tmp_path_factory.mktemp("out") / "report"
    runs = workplace / "runs"
    report([str(runs / "lstm")], baseline=str(runs / "fcn"), out=str(out), names=["_base", NASTY])
    return out


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_all_files_are_there(written: Path) -> None:
    assert sorted(path.name for path in written.iterdir()) == FILES
    for name in ("figure5.png", "figure6.png"):
        image = cv2.imread(str(written / name))
        assert image is not None
        assert image.std() > 10


def test_the_page_is_self_contained_and_accessible(written: Path, workplace: Path) -> None:
    html = (written / "report.html").read_text(encoding="utf-8")
    page = Page(html)
    assert page.tags[0] == ("html", {"lang": "en"})
    images = page.all("img")
    assert len(images) == 6  # five frames and a figure
    for image in images:
        assert re.match(r"data:image/(png|jpeg);base64,", str(image["src"]))
        assert len(str(image["alt"])) > 40
    assert "http://" not in html
    assert "https://" not in html
    assert page.all("script") == []
    assert [link["href"] for link in page.all("link")] == ["data:,"]
    assert len(page.all("table")) == len(page.all("caption")) == 5
    assert all(cell["scope"] in ("col", "row") for cell in page.all("th"))
    assert page.all("b") == []
    assert page.text.count(NASTY) >= 5
    record = json.loads((workplace / "runs/fcn/test/record.json").read_text())
    for said in (record["fingerprint"], record["data_root"], "split_1", "runs/test/best.ckpt"):
        assert said in page.text
    assert "19 frames of 5 sequences, 3 videos and 2 subjects" in page.text


def test_markdown_tables_have_their_columns(written: Path) -> None:
    text = (written / "report.md").read_text(encoding="utf-8")
    assert "A \\| \\<b\\>bold\\</b\\> & $x\\_1$" in text
    widths = []
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        lines = [len(re.findall(r"(?<!\\)\|", line)) - 1 for line in table.splitlines()]
        assert len(set(lines)) == 1
        widths.append(lines[0])
    assert widths == [10, 6, 4, 8, 5]
    for name in re.findall(r"\]\((.*?)\)", text):
        assert (written / name).is_file()


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_shows_the_page(written: Path, browser: Any, width: int) -> None:  # noqa: ANN401
    page = browser.new_page(viewport={"width": width, "height": 900})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto((written / "report.html").as_uri())
    images = page.evaluate("[...document.images].map(image => image.naturalWidth)")
    assert len(images) == 6
    assert min(images) > 300  # loaded
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    style = page.evaluate("getComputedStyle(document.querySelector('h1')).fontFamily")
    assert "system-ui" in style
    # no column is cut: no table is wider than its place
    hidden = "[...document.querySelectorAll('.scroll')].map(e => e.scrollWidth - e.clientWidth)"
    assert page.evaluate(hidden) == [0] * 5
    cell = page.locator("td[data-name=mIoU]").first
    name = cell.evaluate("cell => getComputedStyle(cell, '::before').content")
    assert name == ('"mIoU"' if width == 390 else "none")
    assert said == []
    image = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 20
    page.close()


def run(workplace: Path, out: Path, *folders: str, **options: object) -> None:
    runs = [str(workplace / "runs" / name) for name in folders or ("lstm",)]
    given = {"baseline": str(workplace / "runs" / "fcn"), "out": str(out)} | options
    report(runs, **given)  # type: ignore[arg-type]


def test_without_pictures_the_report_says_why(workplace: Path, tmp_path: Path) -> None:
    place = shutil.copytree(workplace, tmp_path / "moved")
    out = tmp_path / "out"
    run(place, out, data=str(place / "data"))
    assert (out / "figure5.png").is_file()
    label = place / "data" / "labels_orig" / "003_000001.png"
    cv2.imwrite(str(label), np.ones((44, 41), np.uint8))
    run(place, out, data=str(place / "data"))
    assert "Left out: the true masks in" in (out / "report.md").read_text()
    assert not (out / "figure5.png").exists()  # an earlier report's
    (place / "data" / "images_orig" / "001_000001.jpg").unlink()
    run(place, out, data=str(place / "data"))
    assert "001\\_000001.jpg does not exist" in (out / "report.md").read_text()
    run(place, out, data=str(tmp_path / "nowhere"))
    assert "nowhere: no such folder" in (out / "report.md").read_text()
    shutil.rmtree(place / "runs" / "lstm" / "test" / "labels")
    run(place, out)
    assert "lstm kept no label image of frame" in (out / "report.md").read_text()
    text = (out / "report.html").read_text()
    assert "Left out: lstm kept no label image" in text
    run(place, out, "fcn")  # alone
    assert not (out / "table4.csv").exists()
    assert "those with the lowest mIoU" in (out / "report.md").read_text()


def test_equal_runs_have_no_examples(workplace: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(workplace / "runs" / "fcn", tmp_path / "copy")
    fcn = str(workplace / "runs" / "fcn")
    report([str(copy)], baseline=fcn, out=str(tmp_path / "out"))
    text = (tmp_path / "out" / "report.md").read_text()
    assert "Left out: no frame tells the runs apart." in text
    assert "| copy | " in text
    assert "+0.00 | +0.00 to +0.00 | 1.000 |" in text


def other_region(run: Path) -> None:
    shutil.rmtree(run)
    write_run(run, run.parents[2] / "data", region="eyes", flow=None)


def other_protocol(run: Path) -> None:
    text = (run / "record.json").read_text()
    assert "split_1" in text
    (run / "record.json").write_text(text.replace("split_1", "split_2:A,B,C"))


def other_classes(run: Path) -> None:
    for name in ("record.json", "frames.csv"):
        text = (run / name).read_text()
        (run / name).write_text(text.replace("inner_mouth", "teeth"))


def other_truth(run: Path) -> None:
    """Move one missed pixel of the first frame's truth from eyes to skin."""
    header, first, *others = (run / "frames.csv").read_text().splitlines()
    values = dict(zip(header.split(","), first.split(","), strict=True))
    for name, change in (("eyes", -1), ("skin", 1)):
        for column in ("truth", "union"):
            key = f"{column}_{name}"
            values[key] = str(int(values[key]) + change)
    (run / "frames.csv").write_text("\n".join([header, ",".join(values.values()), *others]) + "\n")


def no_frames(run: Path) -> None:
    (run / "frames.csv").write_text((run / "frames.csv").read_text().split("\n")[0] + "\n")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (other_region, r"fcn \(.*\) and lstm \(.*\) look at different regions"),
        (other_protocol, r"belong to different protocols, 'split_1' and 'split_2:A,B,C'"),
        (other_classes, r"fcn \(.*\) and lstm \(.*\) have different classes"),
        (other_truth, r"fcn \(.*\) and lstm \(.*\) have different true masks"),
        (no_frames, "lstm.*holds no frame"),
    ],
)
def test_runs_that_do_not_belong_together(
    workplace: Path, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    place = shutil.copytree(workplace, tmp_path / "place")
    damage(place / "runs" / "lstm" / "test")
    with pytest.raises(InputError, match=message):
        run(place, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_wrong_options(workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    with pytest.raises(InputError, match="runs is empty: give the folder of one run"):
        report([], out=str(out))
    with pytest.raises(InputError, match="groups is 1, expected at least 2"):
        run(workplace, out, groups=1)
    with pytest.raises(InputError, match="examples is 0"):
        run(workplace, out, examples=0)
    with pytest.raises(InputError, match="seed is -1"):
        run(workplace, out, seed=-1)
    with pytest.raises(InputError, match="is given twice"):
        run(workplace, out, "lstm", "lstm/test")
    with pytest.raises(InputError, match="names holds 1 names for 2 runs"):
        run(workplace, out, names=["a"])
    with pytest.raises(InputError, match="give each run a name of its own"):
        run(workplace, out, names=["a", "a"])
    with pytest.raises(InputError, match="nothing: no such folder"):
        run(workplace, out, "nothing")
    with pytest.raises(InputError, match="holds a test, whose files"):
        run(workplace, workplace / "runs" / "fcn" / "test")
    with pytest.raises(InputError, match="holds a data set, whose files"):
        run(workplace, workplace / "data")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=r'pip install "facemask-video\[plot\]"'):
        run(workplace, out)
    assert not out.exists()


def test_a_single_run_needs_no_baseline(workplace: Path, tmp_path: Path) -> None:
    report([str(workplace / "runs" / "fcn")], out=str(tmp_path / "out"))
    page = Page((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    said = " ".join(page.text.split())
    assert re.search(
        r"The run 'fcn' has a mean overlap with the true masks \(IoU\) of [\d.]+ %\. It is best",
        said,
    )
    assert re.search(
        r"weakest at (skin|eyes|lips|inner mouth) \([\d.]+ %\), over \d+ frames of", said
    )
    for word in ("Baseline", "Difference", "95 % interval", "Improvement by position"):
        assert word not in said
    assert len(page.all("details")) == 2  # data and settings, and what was tested
    assert not (tmp_path / "out" / "table4.csv").exists()
    first, *_ = (tmp_path / "out" / "table9.csv").read_text().splitlines()
    assert first.startswith("run,miou,iou_skin")


def test_frames_can_be_clicked_through(written: Path) -> None:
    page = Page((written / "report.html").read_text(encoding="utf-8"))
    links = [link["href"] for link in page.all("a")]
    figures = [figure["id"] for figure in page.all("figure") if "id" in figure]
    assert links == [f"#{name}" for name in figures]
    assert len(links) >= 2
    said = " ".join(page.text.split())
    assert "points more than '_base" in said or "the best of '_base" in said
    assert "The paper's names: BG (background), FS (skin), OMT (lips), IMT (inner mouth)" in said
    assert '"' not in page.text.partition("What was tested")[2].replace(NASTY, "")  # no JSON


def test_a_cascade_is_named_in_a_few_words(workplace: Path, tmp_path: Path) -> None:
    """The page names classes and backbones, and runs.csv has the settings."""
    copy = shutil.copytree(workplace / "runs" / "fcn", tmp_path / "fcn")
    path = copy / "test" / "record.json"
    record = json.loads(path.read_text())
    face = {"network": "ConvLSTMFCN", "backbone": "lite0", "skips": [4, 8], "kernel_size": 3}
    networks = {"primary": face, "eyes": {"network": "FCN", "backbone": "tiny"}}
    record["network"] = {"network": "Cascade", "num_classes": 5, "networks": networks}
    path.write_text(json.dumps(record))
    report([str(copy)], out=str(tmp_path / "out"))
    said = "Cascade (primary: ConvLSTMFCN lite0, eyes: FCN tiny)"
    assert f"| {said} |" in (tmp_path / "out" / "report.md").read_text()
    assert "kernel_size" not in (tmp_path / "out" / "report.html").read_text()
    assert "networks: primary: skips 4 8" in (tmp_path / "out" / "runs.csv").read_text()
