"""Tables at 80 columns: no word is broken or cut off."""

import io

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

from facemask.terminal import console_for_words, print_table
from facemask.training.confidence import ScoredConfidence, ScoredMasks, table_of
from facemask.weights.command import weights


def printed(table: Table, width: int) -> list[str]:
    file = io.StringIO()
    print_table(table, Console(file=file, width=width))
    return file.getvalue().splitlines()


def words_of(lines: list[str]) -> set[str]:
    return {word for line in lines for word in line.replace("│", " ").replace("┃", " ").split()}


def wide() -> Table:
    table = Table("network", "kind", "built with")
    table.add_row("primary", "tf_efficientnet_lite0", "output_stride 32, peephole True, a b c d e")
    table.add_row("eyes", "resnet", "boundary_jitter_inner_mouth 2")
    return table


@pytest.mark.parametrize("width", [80, 70, 30])
def test_words_stay_whole(width: int) -> None:
    lines = printed(wide(), width)
    assert {"tf_efficientnet_lite0", "boundary_jitter_inner_mouth", "output_stride"} <= words_of(
        lines
    )
    # 7, 21 and 27 letters, each with two spaces, and four lines between
    assert {len(line) for line in lines} <= set(range(7 + 21 + 27 + 6 + 4, max(65, width) + 1))
    assert len({len(line) for line in lines}) == 1
    assert not any("…" in line for line in lines)


def test_a_table_that_fits_is_as_rich_prints_it() -> None:
    file = io.StringIO()
    Console(file=file, width=120).print(wide())
    assert printed(wide(), 120) == file.getvalue().splitlines()


def test_a_sentence_stays_on_one_line_of_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    sentence = "[not] a :smile: " + "word " * 40 + "end"
    console_for_words().print(sentence)
    console_for_words(stderr=True).print(sentence)
    assert capsys.readouterr() == (f"{sentence}\n", f"{sentence}\n")


def test_a_title_and_sections_stay() -> None:
    table = Table("split", "videos", title="prepared")
    table.add_row("train", "12")
    table.add_section()
    table.add_row("test", "3")
    lines = printed(table, 80)
    assert lines[0].strip() == "prepared"
    assert sum("├" in line for line in lines) == 1


@pytest.mark.parametrize("columns", ["80", "60"])
def test_weights(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    weights("info", ["default"])
    lines = capsys.readouterr().out.splitlines()
    table = [line for line in lines if line[:1] in "│┃"]
    assert {"ConvLSTMFCN", "tf_efficientnet_lite0", "parameters", "million"} <= words_of(table)
    built = [line for line in lines if "built with" in line]
    assert [line.split(",")[0].strip() for line in built] == ["primary", "eyes", "mouth"]
    assert all("cell_activation tanh" in line for line in built)
    weights("list")
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= int(columns)
    assert {"non-commercial:", "photographs", "evaluation"} <= words_of(lines)


def test_the_table_of_confidence() -> None:
    values = np.linspace(0.1, 0.9, 12).reshape(3, 4)
    masks = ScoredMasks(values, values, np.ones((3, 4), bool), np.arange(3))
    scored = ScoredConfidence(values, values.mean(1), values.mean(1))
    lines = printed(table_of(masks, scored, scored), 80)
    assert max(map(len, lines)) <= 80
    assert {"correlation", "calibration", "expected", "before", "masks"} <= words_of(lines)
