"""Descent of weights: where it is kept, and the terms that go with it."""

import json
from pathlib import Path

import pytest
import torch
import yaml

from facemask.cli import main
from facemask.models import FCN, Cascade, CascadeSettings, ConvLSTMFCN
from facemask.origin import Origin, hub_licence, origins_of, read_origins, terms_in, terms_of
from facemask.weights import LicenceNotice, catalog, find_weights
from facemask.weights.load import load_model
from tests.models.test_cascade_file import BACKBONE, trained

BASE = Origin("default", "0ab", "for research only.", "research-only")
OPEN = Origin("open", "1cd", "as facemask.", "apache-2.0")
DATA = Origin("data set mine", note="face: trained on 12 frames of 2 subjects.")


def tuned(*origins: Origin) -> Cascade:
    primary = FCN(BACKBONE, 5)
    primary.origins = origins
    return Cascade(trained(primary), trained(FCN(BACKBONE, 2)), settings=CascadeSettings(size=64))


@pytest.fixture(autouse=True)
def _untold() -> None:
    catalog._TOLD.clear()


def test_it_survives_files_folders_and_new_cascades(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    tuned(BASE, DATA).save(path, torch.float16, card="## Mine")
    read = Cascade.load(path)
    assert origins_of(read) == (BASE, DATA)
    assert read.card == "## Mine"
    other = Cascade(read.primary, trained(FCN(BACKBONE, 2)))  # by hand, of its networks
    assert origins_of(other) == (BASE, DATA)
    assert other.card is None
    other.save_pretrained(tmp_path / "other")
    assert origins_of(Cascade.from_pretrained(tmp_path / "other")) == (BASE, DATA)
    card = (tmp_path / "other" / "README.md").read_text()
    for word in ("**default** (SHA-256 0ab): For research only.", "12 frames of 2 subjects."):
        assert word in card
    assert "licence" not in card.rpartition("**")[2]  # not called unknown
    read.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / "README.md").read_text().endswith("---\n\n## Mine\n")
    network = ConvLSTMFCN(BACKBONE, 2, kernel_size=3)
    network.origins = (OPEN,)
    network.save(tmp_path / "one.safetensors", card="one")
    alone = ConvLSTMFCN.load(tmp_path / "one.safetensors")
    assert (origins_of(alone), alone.card) == ((OPEN,), "one")


@pytest.mark.parametrize(
    ("origins", "expected"),
    [
        ((), {}),
        ((DATA,), {}),
        ((OPEN,), {"license": "apache-2.0"}),
        (
            (OPEN, DATA),
            {"license": "other", "license_name": "apache-2.0-and-terms-of-the-training-data"},
        ),
        ((BASE, OPEN), {"license": "other", "license_name": "research-only"}),
        ((BASE, DATA), {"license": "other", "license_name": "research-only"}),
    ],
)
def test_the_hub_is_told_the_licence(
    origins: tuple[Origin, ...], expected: dict[str, str], tmp_path: Path
) -> None:
    assert (yaml.safe_load(hub_licence(origins)) or {}) == expected
    tuned(*origins).save_pretrained(tmp_path, card="Mine.")
    front = yaml.safe_load((tmp_path / "README.md").read_text().split("---\n")[1])
    assert {k: v for k, v in front.items() if k.startswith("license")} == expected
    assert front["library_name"] == "facemask"
    tuned(*origins).save_pretrained(tmp_path, card="---\nlicense: mit\n---\nMine.")
    assert (tmp_path / "README.md").read_text().count("license") == 1  # the user's own


def test_terms_are_told_once(tmp_path: Path) -> None:
    assert terms_of([DATA]) is None
    both = terms_of([BASE, DATA, OPEN, Origin("default, first edition", licence=BASE.licence)])
    assert both == "from 'default', 'default, first edition': for research only. " + (
        "from 'open': as facemask."
    )
    path = tmp_path / "mine.safetensors"
    tuned(BASE, DATA).save(path)
    said = r"weights '.*mine\.safetensors': from 'default': for research only\."
    with pytest.warns(LicenceNotice, match=said) as told:
        load_model(str(find_weights(str(path))))
    assert len(told) == 1


@pytest.mark.parametrize("content", ['{"origins": 3}', '{"origins": [{"what": 1}]}', '"origins"'])
def test_a_damaged_descent(content: str, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "odd.safetensors"
    save_file({"a": torch.zeros(1)}, path, {"facemask_cascade": content})
    assert terms_in(path) is None
    path.write_bytes(b"nothing")
    assert terms_in(path) is None
    assert terms_in(tmp_path / "none") is None
    assert read_origins(json.loads("{}")) == ()


def test_the_app_shows_the_terms(tmp_path: Path) -> None:
    from facemask.app.licence import licence_of

    tuned(BASE).save(tmp_path / "mine.safetensors")
    shown = licence_of("mine", tmp_path / "mine.safetensors")
    assert shown.endswith("from 'default': for research only.")
    assert "not known to facemask" in licence_of("mine", None)


def test_info_shows_the_terms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    tuned(BASE).save(tmp_path / "mine.safetensors", card="## Mine\n\nOf 12 frames.")
    main(["weights", "info", str(tmp_path / "mine.safetensors")])
    said = capsys.readouterr()
    assert "licence: from 'default': for research only." in said.out
    assert "Of 12 frames." in said.out
    assert said.err.startswith("weights '")
    assert said.err.endswith("': from 'default': for research only.\n")
