"""`facemask weights`, in this process."""

from pathlib import Path

import pytest

from facemask.cli import main
from facemask.files import sha256_of
from facemask.models import Cascade
from tests.extraction.faces import paint, paint_labels, write_video
from tests.test_package import run
from tests.weights.conftest import LICENCE, flip


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def error_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_list(shelf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shelf / "open.safetensors").unlink()
    main(["weights", "list"])
    said = capsys.readouterr()
    lines = [line for line in said.out.splitlines() if "tiny" in line]
    size = f"{(shelf / 'default.safetensors').stat().st_size / 1e6:.1f}"
    for word in ("default", size, LICENCE, "tiny default"):
        assert word in lines[0]
    assert "missing" in lines[1]
    assert said.err == ""
    assert "list takes no name, but 'x'" in error_of(["weights", "list", "x"], capsys)


def test_info(shelf: Path, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["weights", "info"])
    said = capsys.readouterr()
    assert said.err == f"weights 'default': {LICENCE}\n"  # and no place in the code
    millions = {
        role: f"{sum(p.numel() for p in network.parameters()) / 1e6:.2f} million"
        for role, network in Cascade.load(tiny).networks().items()
    }
    for word in (sha256_of(tiny), "F16", "facemask 0.", "mouth_margin", *millions.values(), "FCN",
                 "mobilenetv3_small_050", "output_stride 16", "Tiny weights", LICENCE):  # fmt: skip
        assert word in said.out, word
    assert "  eyes, built with: output_stride 16, num_classes 2" in said.out  # whole in any width
    assert "**nothing**" not in said.out  # Markdown is drawn

    cascade = Cascade.load(tiny)
    Cascade(cascade.primary, cascade.eyes).save(tmp_path / "bare.safetensors")
    main(["weights", "info", str(tmp_path / "bare.safetensors"), "default"])
    said = capsys.readouterr()
    assert "F32" in said.out
    assert "It has no model card." in said.out
    assert "Tiny weights" in said.out
    assert said.err == ""
    misspelt = error_of(["weights", "info", "defalt"], capsys)
    assert "defalt: no such file; did you mean 'default'? Give 'default', 'open', a" in misspelt


def test_verify(shelf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    digest = sha256_of(shelf / "default.safetensors")
    main(["weights", "verify"])
    assert capsys.readouterr().out.splitlines() == [
        f"default: ok (SHA-256 {digest})", f"open: ok (SHA-256 {digest})",
    ]  # fmt: skip
    flip(shelf / "default.safetensors")
    main(["weights", "verify", "open"])
    assert capsys.readouterr().out == f"open: ok (SHA-256 {digest})\n"
    with pytest.raises(SystemExit) as stop:
        main(["weights", "verify"])
    assert stop.value.code == 2
    said = capsys.readouterr()
    assert said.out.splitlines() == ["default: damaged", f"open: ok (SHA-256 {digest})"]
    assert "is not the file that facemask ships as 'default'" in said.err
    unknown = error_of(["weights", "verify", "x.safetensors"], capsys)
    assert "x.safetensors: only the weights that come with facemask have a known SHA-256" in unknown


def test_extract_with_the_default(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "clip.mp4", [paint(paint_labels(64, 64, 32, 32, 60))] * 3)
    main(["extract", "clip.mp4", "--cropped", "--save", "csv", "--device", "cpu"])
    assert capsys.readouterr().err.splitlines()[0] == f"weights 'default': {LICENCE}"
    assert len(Path("masks/clip.csv").read_text().splitlines()) == 4
    damaged = "is not the file that facemask ships as 'open'"
    flip(shelf / "open.safetensors")
    assert damaged in error_of(["extract", "clip.mp4", "--cropped", "--model", "open"], capsys)


def test_the_page_offers_the_default(shelf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["app", "--port", "0"])
    assert capsys.readouterr().err.splitlines()[0] == f"weights 'default': {LICENCE}"


def test_a_list_needs_no_network_code() -> None:
    code = """
        import sys
        from facemask.cli import main
        main(["weights", "list"])
        print([m for m in ("timm", "huggingface_hub", "torchvision") if m in sys.modules])
    """
    assert run(code).splitlines()[-1] == "[]"
