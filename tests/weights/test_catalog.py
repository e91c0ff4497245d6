from pathlib import Path

import pytest

from facemask.errors import InputError
from facemask.models.cascade.cascade import Cascade
from facemask.models.cascade.file import read_card
from facemask.weights import shipped, verify
from tests.weights.conftest import CARD, LICENCE, flip


def test_what_is_shipped_is_what_the_catalogue_says() -> None:
    """The real files, not those of the other tests."""
    assert set(shipped()) == {"default", "open"}
    for weights in shipped().values():
        verify(weights)
        assert weights.licence.endswith(".")
        assert weights.description
        assert "\n" not in weights.licence + weights.description
        assert Cascade.load(weights.path).primary is not None
        assert read_card(weights.path)


def test_a_catalogue(shelf: Path) -> None:
    default = shipped()["default"]
    assert (default.name, default.path) == ("default", shelf / "default.safetensors")
    assert (default.licence, default.description) == (LICENCE, "tiny default")
    assert len(default.sha256) == 64
    verify(default)
    assert read_card(default.path) == read_card(str(default.path)) == CARD


def test_a_damaged_or_missing_file(shelf: Path) -> None:
    default = shipped()["default"]
    flip(default.path)
    with pytest.raises(
        InputError, match=r"is not the file that facemask ships as 'default' .*: re"
    ):
        verify(default)
    verify(shipped()["open"])
    default.path.unlink()
    with pytest.raises(InputError, match=r"default.safetensors: no such file, but .*: reinstall"):
        verify(default)


def test_a_cascade_without_card(tmp_path: Path, tiny: Path) -> None:
    cascade = Cascade.load(tiny)
    Cascade(cascade.primary, cascade.eyes).save(tmp_path / "bare.safetensors")
    assert read_card(tmp_path / "bare.safetensors") is None
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(InputError, match="is no safetensors file"):
        read_card(tmp_path / "text.safetensors")
