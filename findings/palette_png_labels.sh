#!/usr/bin/env bash
# Guess: a palette PNG of labels, read "unchanged", gives the class ids: IMREAD_UNCHANGED of OpenCV, the
#   imread of imageio and of scikit-image, and matplotlib's all return what Pillow does.
# Seen: opencv-python-headless 5.0.0.93, pillow 12.3.0, imageio 2.37.0, scikit-image 0.25.2, matplotlib 3.10.7:
#   Pillow alone gives 0 to 4. OpenCV gives the palette's colours, unchanged or not, or their grey (0, 76, 149,
#   178, 29); imageio and scikit-image give RGB, matplotlib RGBA in [0, 1].
# So: read label images with Pillow. A grey reading is of the right shape and type, and wrong without a word.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/see.py" <<'PY'
import os
import cv2, imageio.v2, imageio.v3, matplotlib.image, numpy as np, skimage.io
from PIL import Image

os.chdir(os.path.dirname(__file__))
labels = np.repeat(np.arange(5, dtype=np.uint8)[None], 4, axis=0)  # ids 0 to 4, a column each
picture = Image.fromarray(labels)
picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 255, 255, 0, 0, 255])
picture.save("labels.png")
readers = {
    "Pillow": lambda: np.asarray(Image.open("labels.png")),
    "cv2 unchanged": lambda: cv2.imread("labels.png", cv2.IMREAD_UNCHANGED),
    "cv2 grayscale": lambda: cv2.imread("labels.png", cv2.IMREAD_GRAYSCALE),
    "imageio.v2": lambda: imageio.v2.imread("labels.png"),
    "imageio.v3": lambda: imageio.v3.imread("labels.png"),
    "scikit-image": lambda: skimage.io.imread("labels.png"),
    "matplotlib": lambda: matplotlib.image.imread("labels.png"),
}
seen = {}
for name, read in readers.items():
    array = read()
    seen[name] = array[0].tolist()
    print(f"{name:14} {array.dtype} {array.shape} {seen[name]}")
colors = [[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 255, 255], [0, 0, 255]]
assert seen["Pillow"] == [0, 1, 2, 3, 4]
assert seen["cv2 unchanged"] == [color[::-1] for color in colors]
assert seen["cv2 grayscale"] == [0, 76, 149, 178, 29]
assert seen["imageio.v2"] == seen["imageio.v3"] == seen["scikit-image"] == colors
assert seen["matplotlib"] == [[value / 255 for value in color] + [1] for color in colors]
PY
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install "opencv-python-headless==5.0.0.93" "pillow==12.3.0" "numpy==2.4.6" \
  "imageio==2.37.0" "scikit-image==0.25.2" "matplotlib==3.10.7"
"$folder/venv/bin/python" "$folder/see.py"
