import re
import warnings
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import huggingface_hub
import pytest
from huggingface_hub import errors

from facemask.app.extraction import find_models
from facemask.errors import InputError
from facemask.extraction import FaceMaskExtractor, load_model
from facemask.files import sha256_of
from facemask.hub import RepositoryFile, parse_id
from facemask.models import Cascade
from facemask.origin import Origin, origins_of
from facemask.weights import LicenceNotice, find_weights
from facemask.weights.load import load_networks
from tests.weights.conftest import LICENCE, flip


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def test_a_shipped_name_says_its_licence_once(shelf: Path) -> None:
    with pytest.warns(LicenceNotice, match=rf"weights 'default': {LICENCE}"):
        assert find_weights("default") == shelf / "default.safetensors"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        find_weights("default")
        with pytest.raises(LicenceNotice, match="'open'"):
            find_weights("open")


@pytest.mark.filterwarnings("ignore::facemask.weights.LicenceNotice")
def test_a_name_wins_over_a_file(shelf: Path, tiny: Path) -> None:
    Path("default").mkdir()
    assert find_weights("default").parent == shelf
    Path("open").write_text("a file")
    assert find_weights("open").parent == shelf
    assert find_weights("./open") == Path("open")
    assert find_weights(Path("open")) == Path("open")


@pytest.mark.filterwarnings("ignore::facemask.weights.LicenceNotice")
def test_names_go_wherever_models_do(shelf: Path, tiny: Path) -> None:
    assert load_model("default").settings.size == 64
    networks, settings = load_networks("default")
    assert (list(networks), settings.size) == (["primary", "eyes"], 64)
    extractor = FaceMaskExtractor.load(device="cpu", detector="cropped")
    assert list(extractor.cascade.networks()) == ["primary", "eyes"]
    assert list(find_models(["default", str(tiny)]).items()) == [
        ("default", shelf / "default.safetensors"),
        ("tiny.safetensors", tiny),
    ]


def test_a_file_knows_its_origin_however_it_is_read(shelf: Path, tiny: Path) -> None:
    paths = [shelf / "open.safetensors", tiny]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LicenceNotice)
        paths.append(find_weights("default"))
        found = [origins_of(Cascade.load(path)) for path in paths]
        assert origins_of(load_model("open")) == found[0]
    digest = sha256_of(tiny)
    shipped = [Origin(name, digest, LICENCE, "tests-only") for name in ("open", "default")]
    assert found == [(shipped[0],), (), (shipped[1],)]
    (tiny.parent / "weights.json").write_text("[1]")  # another list
    assert origins_of(Cascade.load(tiny)) == ()
    (tiny.parent / "weights.json").unlink()
    with pytest.warns(LicenceNotice, match=f"from 'open': {LICENCE}"):
        find_weights(str(shelf / "open.safetensors"))


def test_a_damaged_file_is_refused_each_time(shelf: Path) -> None:
    flip(shelf / "default.safetensors")
    for _ in range(2):
        with pytest.raises(InputError, match="is not the file that facemask ships as 'default'"):
            load_model("default")


def test_nothing_there(shelf: Path) -> None:
    said = "give 'default', 'open', a file, or a Hugging Face repository id 'owner/name'."
    for word in ("none", "none.safetensors", "runs/best.ckpt", "./a/b", "/a/b", "~/a", "a/b/c/d"):
        with pytest.raises(InputError, match=re.escape(f"{word}: no such file; {said}")):
            find_weights(word)
    Path("runs/fcn").mkdir(parents=True)
    with pytest.raises(InputError, match=re.escape(f"runs/fcn: is a folder; {said}")):
        find_weights("runs/fcn")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("owner/name", ("owner/name", "cascade.safetensors", None)),
        ("owner/my.name-2@v1", ("owner/my.name-2", "cascade.safetensors", "v1")),
        ("owner/name@refs/pr/1", ("owner/name", "cascade.safetensors", "refs/pr/1")),
        ("o/n/x.safetensors", ("o/n", "x.safetensors", None)),
        ("o/n/a/b-1.safetensors@0ab", ("o/n", "a/b-1.safetensors", "0ab")),
    ],
)
def test_repository_ids(text: str, expected: tuple[str, str, str | None]) -> None:
    assert parse_id(text) == RepositoryFile(text, *expected)


@pytest.mark.parametrize(
    "text",
    ["name", "o/n/x.ckpt", "o/n.pt", "o/n.pth@v1", "o/n.safetensors", "../n", "./n", "~/n", "/o/n",
     "o/../x.safetensors", "o/n/../x.safetensors", "o/n@", "o n/m", "C:\\o\\n", ""],
)  # fmt: skip
def test_what_is_no_repository_id(text: str) -> None:
    assert parse_id(text) is None


class Hub:
    """Stands in for `hf_hub_download`."""

    def __init__(self, file: Path, cached: bool, error: Exception | None = None) -> None:
        self.file, self.cached, self.error = file, cached, error
        self.calls: list[tuple[str, str, str | None, bool]] = []

    def __call__(
        self, repo_id: str, filename: str, *, revision: str | None, local_files_only: bool = False
    ) -> str:
        self.calls.append((repo_id, filename, revision, local_files_only))
        if local_files_only and not self.cached:
            raise errors.LocalEntryNotFoundError("not cached")
        if self.error is not None:
            raise self.error
        return str(self.file)


def test_a_download(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(tiny, cached=False)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub)
    assert find_weights("owner/name@v1") == tiny
    place = ("owner/name", "cascade.safetensors", "v1")
    assert hub.calls == [(*place, True), (*place, False)]
    assert load_model("owner/name/x.safetensors").settings.size == 64
    assert hub.calls[-1] == ("owner/name", "x.safetensors", None, False)


def test_no_network_for_what_is_cached(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(tiny, cached=True)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub)
    assert find_weights("owner/name") == tiny
    assert [call[3] for call in hub.calls] == [True]


def test_the_real_cache_without_network(
    shelf: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(
        InputError, match=r"owner/name: no such file here, and .* cannot be reached"
    ):
        find_weights("owner/name")
    with pytest.raises(InputError, match=r"'a--b/c' cannot name a Hugging Face repository: give"):
        find_weights("a--b/c")
    # as huggingface_hub leaves it: the file's name is a link's
    commit = "0" * 40
    repository = tmp_path / "cache" / "models--owner--name"
    link = repository / "snapshots" / commit / "cascade.safetensors"
    for folder in (link.parent, repository / "refs", repository / "blobs"):
        folder.mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    (repository / "blobs" / "abc").write_bytes(tiny.read_bytes())
    link.symlink_to(repository / "blobs" / "abc")
    assert find_weights("owner/name") == link
    assert find_weights(f"owner/name@{commit}") == link
    assert find_models(["owner/name"]) == {"owner/name": link}
    assert load_model("owner/name").settings.size == 64


def problem(kind: type[errors.HfHubHTTPError]) -> errors.HfHubHTTPError:
    return kind("x", response=Mock(headers={}))  # of an HTTP library that depends on the version


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (problem(errors.RepositoryNotFoundError), "owner/name does not exist or is private"),
        (problem(errors.GatedRepoError), "owner/name is gated: accept its terms"),
        (problem(errors.RevisionNotFoundError), "owner/name has no revision 'v1'"),
        (errors.EntryNotFoundError("x"), "has no file 'cascade.safetensors': give an"),
        (OSError("disk full.\nmore"), r"could not be downloaded from \(disk full\): try again"),
        (RuntimeError(), r"could not be downloaded from \(RuntimeError\): try again"),
    ],
)
def test_failed_downloads(
    error: Exception, said: str, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub: Any = Hub(tiny, cached=False, error=error)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub)
    with pytest.raises(InputError, match=said) as raised:
        find_weights("owner/name@v1")
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith("owner/name@v1: no such file here, and the Hugging Face")
