#!/usr/bin/env bash
# torch 2.13.0: torch.export of a module with an example that is a slice of a larger tensor.
#
# Guess: a program depends on the shapes and types of its example, not on how that lies in memory; open axes
#   (`Dim.DYNAMIC`) take any size from 1 on.
# Seen: with `clip[:, 0]` as example, whose first stride is larger than its frames are, the program refuses every tensor
#   that lies in one piece ("Guard failed: x.stride()[0] != ..."), and takes slices; with the same values in one piece as
#   example it takes both. Exporting says nothing, and so does `torch.export.save`.
# So: call `.contiguous()` on examples, and run what was exported on tensors that were made otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import sys
import warnings

import torch
from torch import nn

warnings.simplefilter("ignore")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 2, 3)

    def forward(self, x):
        return self.layer(x.movedim(-1, -3).float().contiguous(memory_format=torch.channels_last))


def takes(program, x):
    try:
        program(x)
    except (AssertionError, RuntimeError) as error:
        print("  refused:", str(error).partition("\n")[0])
        return False
    return True


clip = torch.randint(0, 256, (2, 3, 16, 16, 3), dtype=torch.uint8)
seen = []
for name, example in (("slice", clip[:, 0]), ("in one piece", clip[:, 0].contiguous())):
    exported = torch.export.export(Net().eval(), (example,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    program = exported.module()
    print(f"example: {name}")
    seen.append((takes(program, clip[:, 1]), takes(program, clip[:, 1].contiguous())))
    print("  takes a slice, takes one in one piece:", seen[-1])
sys.exit(seen != [(True, False), (True, True)])
PY
echo "as seen: an example's strides become a condition"
