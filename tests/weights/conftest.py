"""A catalogue of tiny weights in place of the shipped ones."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from facemask.files import sha256_of
from facemask.models import FCN, Cascade, CascadeSettings
from facemask.weights import catalog
from tests.models.test_cascade_file import BACKBONE, trained

CARD = "# Tiny weights\n\nTrained on **nothing**."
LICENCE = "For tests alone."


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved cascade with a card. Read only: copy to change."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.safetensors"
    networks = [trained(FCN(BACKBONE, classes)) for classes in (5, 2)]
    cascade = Cascade(networks[0], networks[1], settings=CascadeSettings(size=64))
    cascade.save(path, dtype=torch.float16, card=CARD)
    return path


@pytest.fixture
def shelf(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The catalogue's folder: "default" and "open", of the same tensors."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    entries = {}
    for name in ("default", "open"):
        (folder / f"{name}.safetensors").write_bytes(tiny.read_bytes())
        entries[name] = {
            "file": f"{name}.safetensors",
            "sha256": sha256_of(tiny),
            "licence": LICENCE,
            "licence_id": "tests-only",
            "description": f"tiny {name}",
        }
    (folder / "weights.json").write_text(json.dumps(entries))
    monkeypatch.setattr(catalog, "FOLDER", folder)
    catalog._TOLD.clear()
    yield folder
    catalog._TOLD.clear()


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
