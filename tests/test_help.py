"""What `--help` lists."""

import inspect
import re
from pathlib import Path

import pytest
from pytorch_lightning import Trainer

from facemask.cli import main
from facemask.data import FaceMaskDataModule
from facemask.training.cascade_module import CascadeModule
from facemask.training.modules import ConvLSTMFCNModule, FCNModule

CONFIGS = Path(__file__).parent.parent / "configs"


def help_of(words: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The options that a command's help lists, in their order."""
    with pytest.raises(SystemExit) as stop:
        main([*words, "--help"])
    assert stop.value.code == 0
    return re.findall(r"^  (?:-\w.*, )?(--[\w.]+)", capsys.readouterr().out, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("words", "model"),
    [
        (["fit"], FCNModule),
        (["fit", "-c", str(CONFIGS / "convlstm_fcn.yaml")], ConvLSTMFCNModule),
        (["test", "-c", str(CONFIGS / "cascade.yaml")], CascadeModule),
        (["fit", "-c", "missing.yaml"], FCNModule),
    ],
)
def test_help_of_trainings_is_complete_and_lists_ours_first(
    words: list[str], model: type, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = help_of(words, capsys)
    for key, kind in (("data", FaceMaskDataModule), ("model", model), ("trainer", Trainer)):
        own = inspect.signature(kind).parameters.values()
        named = {f"--{key}.{p.name}" for p in own if p.kind is not p.VAR_KEYWORD}
        assert not named - set(listed)
    groups = [name.removeprefix("--").partition(".")[0] for name in listed]
    assert max(i for i, group in enumerate(groups) if group != "trainer") < groups.index("trainer")
    assert groups.index("config") < groups.index("ckpt_path") < groups.index("data")


def test_help_lists_names_that_are_to_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    listed = help_of(["extract"], capsys)
    assert "--as" in listed
    assert "--treat_as" not in listed
