"""Encoders in 8-bit integers: post-training quantisation of OpenVINO's files by NNCF."""

import contextlib
import io
import json
import logging
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from facemask.boxes import face_crop_box
from facemask.errors import InputError
from facemask.export.folder import MANIFEST, read_manifest
from facemask.export.formats import needed, openvino_core
from facemask.files import sha256_of
from facemask.models.backbone import Encoder
from facemask.models.cascade.cascade import Cascade

_FACES: Final = 60
_SEED: Final = 1
"""Of the faces that ranges of activations are taken from; the check of labels has others."""
_KEPT: Final = r"^(?!.*\bbody\b).*"
"""Names of what stays in floating point: all but the network that was trained for ImageNet. Narrow
layers that put features together would cost more labels than all of that."""


def check_int8() -> None:
    """Check that this CPU multiplies 8-bit integers faster than floating point.

    Raises:
        InputError: It has no instructions for that.
    """
    known = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    names = ("avx512_vnni", "avx_vnni", "amx_int8", "dotprod", "i8mm")
    if not any(known.get(name) for name in names):
        raise InputError(
            "precision is 'int8', but this CPU has no instructions for it (AVX-512 VNNI, AVX-VNNI, "
            "AMX or Arm's dot products): give auto."
        )


def made_up_faces(seed: int, count: int) -> list[list[Tensor]]:
    """Return clips of one frame each, crops of made-up faces, uint8 (3, H, W)."""
    from facemask.data.synthetic.render import render_video  # only where an export is made

    faces = []
    for index in range(count):
        image, points = next(iter(render_video(seed, index, frames=1)))
        crop = face_crop_box(points, *image.shape[:2])
        faces.append([torch.from_numpy(image[crop.pixels]).permute(2, 0, 1)])
    return faces


def quantise(cascade: Cascade, folder: Path) -> None:
    """Quantise the bodies of encoders in an export for OpenVINO, in place.

    Weights have a scale for each channel. Ranges of activations are those on made-up faces, which
    anybody may use.

    Args:
        cascade: What was exported, on the CPU.
        folder: Its graphs of frames.

    Raises:
        InputError: NNCF is not installed.
    """
    nncf, core = needed("nncf", "int8"), openvino_core()
    nncf.set_log_level(logging.ERROR)
    content = read_manifest(folder)
    for role, images in _seen(cascade).items():
        (graph,) = content["networks"][role]["graphs"].values()
        path = folder / graph["file"]
        with contextlib.redirect_stdout(io.StringIO()):  # bars
            model = nncf.quantize(
                core.read_model(path),
                nncf.Dataset(images),
                subset_size=len(images),
                fast_bias_correction=False,  # the fast one loses twice as many labels
                ignored_scope=nncf.IgnoredScope(patterns=[_KEPT]),
            )
        new = path.with_name(f"{role}.int8.xml")  # the old file is open as long as its model is
        needed("openvino").save_model(model, new, compress_to_fp16=False)
        files = [new, new.with_suffix(".bin")]
        graph |= {"file": new.name, "sha256": {file.name: sha256_of(file) for file in files}}
        del graph["largest_difference"]  # of what was written before
        for file in (path, path.with_suffix(".bin")):
            file.unlink()
    (folder / MANIFEST).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _seen(cascade: Cascade) -> dict[str, list[npt.NDArray[np.float32]]]:
    """Return the normalised pictures (1, S, S, 3) of made-up faces that each encoder sees."""
    seen: dict[str, list[npt.NDArray[np.float32]]] = defaultdict(list)
    hooks = []
    for role, network in cascade.networks().items():
        if not isinstance(getattr(network, "encoder", None), Encoder):
            continue

        def saw(_: nn.Module, inputs: tuple[Any, ...], role: str = role) -> None:
            frames = inputs[0].flatten(0, -4).movedim(-3, -1)
            seen[role] += [frame.contiguous().numpy()[None] for frame in frames]

        hooks.append(network.encoder.register_forward_pre_hook(saw))  # type: ignore[union-attr]
    try:
        with torch.inference_mode():
            cascade(made_up_faces(_SEED, _FACES))
    finally:
        for hook in hooks:
            hook.remove()
    return seen
