import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from facemask.app.extraction import find_models
from facemask.errors import InputError


def test_files_and_folders(model: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for name in ("fcn/best.ckpt", "lstm/best.ckpt", "lstm/last.ckpt", ".trash/old.ckpt"):
        (runs / name).parent.mkdir(parents=True, exist_ok=True)
        (runs / name).touch()
    (runs / "cascade.safetensors").write_bytes(model.read_bytes())
    save_file({"x": torch.zeros(1)}, runs / "features.safetensors")
    (runs / "broken.safetensors").write_text("x")
    (runs / "notes.txt").touch()
    found = find_models([str(model), str(runs), str(runs / "lstm" / "last.ckpt")])
    assert list(found.items()) == [
        (f"{model.parent.name}/cascade.safetensors", model),
        ("runs/cascade.safetensors", runs / "cascade.safetensors"),
        ("fcn/best.ckpt", runs / "fcn" / "best.ckpt"),
        ("lstm/best.ckpt", runs / "lstm" / "best.ckpt"),
        ("last.ckpt", runs / "lstm" / "last.ckpt"),
    ]
    assert list(find_models([str(model)])) == ["cascade.safetensors"]


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(f"{tmp_path}: holds no model")):
        find_models([str(tmp_path)])
    with pytest.raises(InputError, match="none: no such file"):
        find_models([str(tmp_path / "none")])
