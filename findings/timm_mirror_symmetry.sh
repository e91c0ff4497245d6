#!/usr/bin/env bash
# Guess: a convolutional encoder whose kernels are all mirror-symmetric gives a mirrored picture mirrored features, if its
#   padding is the same on both sides. timm's mobilenetv2_100 (padding of k // 2) does so at the usual even sizes;
#   tf_efficientnet_lite0 does not, because TensorFlow's "SAME" pads a column more on the right.
# Seen: timm 1.0.31, torch 2.13.0, both with symmetric kernels: neither does, at 192, 208 and 224 pixels (features
#   differ by half of the largest one), and both do at 193 and 225, to rounding. At 209 = 16 × 13 + 1 neither does.
# So: it is not the padding but the stride: of an even number of columns every second one has no middle. With five
#   halvings only sizes 32 n + 1 stay odd on every level; test-time flips average two different networks at all others.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/see.py" <<'PY'
import torch

try:
    import torchvision  # noqa: F401  # timm imports it
except RuntimeError:  # its build is for another torch: timm needs none of its operators
    operators = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
import timm

SIZES = (192, 193, 208, 209, 224, 225)
found = {}
for name in ("mobilenetv2_100", "tf_efficientnet_lite0"):
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=0).double().eval()
    with torch.no_grad():
        for weight in network.parameters():
            if weight.ndim == 4:
                weight.copy_((weight + weight.flip(-1)) / 2)  # every kernel is its mirror image
        for size in SIZES:
            picture = torch.rand(1, 3, size, size, dtype=torch.float64)
            features = network.forward_features(picture)
            mirrored = network.forward_features(picture.flip(-1)).flip(-1)
            apart = found[name, size] = float((features - mirrored).abs().max() / features.abs().max())
            print(f"{name}, {size} px: features {features.shape[-1]} wide, differ by {apart:.1e} of the largest")
for (name, size), apart in found.items():
    assert apart < 1e-9 if size in (193, 225) else apart > 0.1, (name, size, apart)
PY
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install "torch==2.13.0" "timm==1.0.31"
"$folder/venv/bin/python" "$folder/see.py"
