#!/usr/bin/env bash
# Guess: `import torchmetrics` brings torch and NumPy; SciPy comes when a metric that needs it is made.
# Seen: torchmetrics 1.9.0 beside scipy 1.17.1: one `from torchmetrics import JaccardIndex` imports more than 400
#   modules of SciPy, scipy.signal among them, twice as many as torchmetrics has itself: an audio metric imports it
#   wherever SciPy is installed. Without SciPy none is missed.
# So: a program that counts a confusion matrix pays for all of it at each start, and so does one that imports
#   pytorch_lightning, which imports torchmetrics. Import torchmetrics where a metric is made, not at the top.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/see.py" <<'PY'
import sys

import torch

before = set(sys.modules)
from torchmetrics import JaccardIndex

new = set(sys.modules) - before
scipy = {name for name in new if name.split(".")[0] == "scipy"}
own = {name for name in new if name.split(".")[0] == "torchmetrics"}
print("modules of SciPy", len(scipy), "of torchmetrics", len(own), "scipy.signal", "scipy.signal" in scipy)
metric = JaccardIndex(task="multiclass", num_classes=3)
metric.update(torch.tensor([0, 1, 2, 2]), torch.tensor([0, 1, 1, 2]))
print("JaccardIndex", round(float(metric.compute()), 4))  # 1, 1/2, 1/2
assert round(float(metric.compute()), 4) == 0.6667
if sys.argv[1] == "with":
    assert "scipy.signal" in scipy and len(scipy) > 400 and len(scipy) > len(own), (len(scipy), len(own))
else:
    assert not scipy
PY
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install "torch==2.13.0" "numpy==2.2.6"
"$folder/venv/bin/pip" -q install "torchmetrics==1.9.0"
"$folder/venv/bin/python" "$folder/see.py" without
"$folder/venv/bin/pip" -q install "scipy==1.17.1"
"$folder/venv/bin/python" "$folder/see.py" with
