"""Models in folders and in a Hugging Face repository, whose server is a small one of our own."""

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch

from facemask.errors import InputError
from facemask.models import FCN, Cascade, CascadeSettings, ConvLSTMFCN
from tests.models.test_cascade_file import BACKBONE, trained

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def cascade() -> Cascade:
    eyes = ConvLSTMFCN(BACKBONE, 2, kernel_size=3, cell_activation="tanh")
    return Cascade(trained(FCN(BACKBONE, 5)), trained(eyes), settings=CascadeSettings(size=64))


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a == b and torch.equal(v, w) for (a, v), (b, w) in pairs)


def test_a_cascade_in_a_folder(tmp_path: Path) -> None:
    model = cascade()
    model.save_pretrained(tmp_path / "new" / "model", card="# Mine\n\nFor tests.")
    again = Cascade.from_pretrained(tmp_path / "new" / "model")
    assert again.settings == model.settings
    assert same(again, model)
    assert not again.training
    readme = (tmp_path / "new" / "model" / "README.md").read_text()
    assert readme.startswith("---\nlibrary_name: facemask\n")
    assert readme.endswith("# Mine\n\nFor tests.\n")
    file = tmp_path / "new" / "model" / "cascade.safetensors"
    assert same(Cascade.from_pretrained(str(file)), model)


@pytest.mark.parametrize(
    "network",
    [
        FCN(BACKBONE, 3, output_stride=8),
        ConvLSTMFCN(BACKBONE, 2, kernel_size=3, peephole=False, gate_activation="hard_sigmoid"),
    ],
)
def test_a_network_in_a_folder(network: FCN | ConvLSTMFCN, tmp_path: Path) -> None:
    trained(network)
    network.offsets.fill_(0.25)
    network.mean.copy_(torch.tensor([0.25, 0.5, 0.125]).view(3, 1, 1))  # as of another timm
    network.std.copy_(torch.tensor([0.75, 1.5, 2.0]).view(3, 1, 1))
    network.save_pretrained(tmp_path)
    again = type(network).from_pretrained(tmp_path)
    assert same(again, network)
    assert again.mean.flatten().tolist() == [0.25, 0.5, 0.125]
    assert again.std.flatten().tolist() == [0.75, 1.5, 2.0]
    assert again.description() == network.description()
    card = (tmp_path / "README.md").read_text()
    assert f"from facemask.models import {type(network).__name__}" in card
    other = ConvLSTMFCN if isinstance(network, FCN) else FCN
    with pytest.raises(InputError, match=f"holds a {type(network).__name__}, expected a"):
        other.from_pretrained(tmp_path)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cascade\.safetensors: no such file"):
        Cascade.from_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"^default: no such folder or file: give one that save_p"):
        Cascade.from_pretrained("default")
    (tmp_path / "network.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match="is no safetensors file"):
        FCN.from_pretrained(tmp_path)
    FCN(BACKBONE, 2).save(tmp_path / "network.safetensors")
    data = (tmp_path / "network.safetensors").read_bytes()
    (tmp_path / "network.safetensors").write_bytes(data.replace(b"output_stride", b"output_strode"))
    with pytest.raises(InputError, match="its description of the network is damaged or of another"):
        FCN.from_pretrained(tmp_path)


class Hub(BaseHTTPRequestHandler):
    """As much of the Hub's API as one upload and downloads need."""

    files: dict[str, bytes]

    def _send(self, content: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _json(self, content: Any, status: int = 200) -> None:  # noqa: ANN401
        self._send(json.dumps(content).encode(), status, Content_Type="application/json")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Authorization") != "Bearer writer":
            self._json({"error": "no"}, 401)
        elif self.path.endswith("/repos/create"):
            self._json({"url": f"http://{self.headers['Host']}/owner/name"})
        elif "/preupload/" in self.path:
            names = [file["path"] for file in json.loads(body)["files"]]
            mode = {"uploadMode": "regular", "shouldIgnore": False}
            self._json({"files": [{"path": name} | mode for name in names]})
        elif "/commit/" in self.path:
            for line in body.splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    content = base64.b64decode(entry["value"]["content"])
                    self.files[entry["value"]["path"]] = content
            url = f"http://{self.headers['Host']}/owner/name/commit/{COMMIT}"
            self._json({"success": True, "commitOid": COMMIT, "commitUrl": url})
        else:
            self._json({})

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        if "/resolve/" in self.path and name in self.files:
            content = self.files[name]
            self._send(content, X_Repo_Commit=COMMIT, ETag=f'"{len(content)}"')
        elif "/resolve/" in self.path:
            self._send(b"", 404, X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)
        else:
            self._json({"id": "owner/name", "sha": COMMIT, "siblings": []})

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub() -> Iterator[str]:
    handler = type("Server", (Hub,), {"files": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def run(code: str, endpoint: str, home: Path, **variables: str) -> str:
    """Run in a process of its own, since the hub's address is read when its library is imported."""
    environment = os.environ | {"HF_ENDPOINT": endpoint, "HF_HOME": str(home)} | variables
    environment.pop("HF_HUB_OFFLINE", None)
    environment |= {k: v for k, v in variables.items() if k == "HF_HUB_OFFLINE"}
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"from facemask.errors import InputError\n{code}"],
        capture_output=True, text=True, env=environment, timeout=120, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_a_repository(hub: str, tmp_path: Path) -> None:
    cascade().save_pretrained(tmp_path / "model")
    push = (
        "from facemask.models import Cascade\n"
        f"model = Cascade.from_pretrained({str(tmp_path / 'model')!r})\n"
        "try:\n    print(model.push_to_hub('owner/name'))\n"
        "except InputError as error:\n    print(error)"
    )
    home = tmp_path / "home"
    assert "log in with `hf auth login` as someone who" in run(push, hub, home, HF_TOKEN="reader")
    assert run(push, hub, home, HF_TOKEN="writer") == f"{hub}/owner/name/commit/{COMMIT}"
    get = (
        "from facemask.models import FCN, Cascade\n"
        "model = Cascade.from_pretrained('owner/name')\n"
        f"model.save_pretrained({str(tmp_path / 'again')!r})\n"
        "for name in ('owner/name', 'owner/name@refs/pr/1'):\n"
        "    try:\n        FCN.from_pretrained(name)\n"
        "    except InputError as error:\n        print(error)"
    )
    assert run(get, hub, home).count("has no file 'network.safetensors'") == 2
    again = Cascade.from_pretrained(tmp_path / "again")
    assert same(again, Cascade.from_pretrained(tmp_path / "model"))
    # what is cached needs no server
    cached = get.partition("for name")[0]
    run(cached, "http://127.0.0.1:9", home, HF_HUB_OFFLINE="1")
    nowhere = cached.replace("model.save", "#").replace("owner/name", "owner/other")
    lost = f"try:\n    {nowhere.splitlines()[1]}\nexcept InputError as error:\n    print(error)"
    imports = nowhere.splitlines()[0]
    said = run(f"{imports}\n{lost}", "http://127.0.0.1:9", home, HF_HUB_OFFLINE="1")
    assert "cannot be reached, nor is its cascade.safetensors in the cache" in said
