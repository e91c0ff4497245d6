#!/usr/bin/env bash
# Guess: OpenCV's INTER_NEAREST_EXACT takes the pixel under each new centre, exactly, in every release.
# Seen: an image of 2 x 3 enlarged to 5 x 7, opencv-python-headless 4.13.0.92 and 5.0.0.93: the middle row of
#   five has its centre on the edge between the two old ones; 4.13 takes the upper one, 5.0 the lower one, as
#   flooring does. Of 300 random sizes both differ somewhere from floor((2 i + 1) n / (2 m)) in whole numbers in
#   about a third.
# So: label images that are resized to train or to score on depend on the release; index them yourself.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/see.py" <<'PY'
import cv2, numpy as np

small = np.arange(6, dtype=np.uint8).reshape(2, 3)
middle = cv2.resize(small, (7, 5), interpolation=cv2.INTER_NEAREST_EXACT)[2].tolist()
rng, differ = np.random.default_rng(0), 0
for _ in range(300):
    h, w, new_h, new_w = (int(n) for n in rng.integers(1, 300, 4))
    image = rng.integers(0, 255, (h, w), dtype=np.uint8)
    rows, columns = ((2 * np.arange(m) + 1) * n // (2 * m) for n, m in ((h, new_h), (w, new_w)))
    theirs = cv2.resize(image, (new_w, new_h), interpolation=cv2.INTER_NEAREST_EXACT)
    differ += int((theirs != image[np.ix_(rows, columns)]).any())
print(cv2.__version__, "middle row", middle, "differs at", differ, "of 300 sizes")
old = cv2.__version__.startswith("4.")
assert middle == ([0, 0, 1, 1, 1, 2, 2] if old else [3, 3, 4, 4, 4, 5, 5])
assert 60 < differ < 150
PY
for release in 4.13.0.92 5.0.0.93; do
  python3 -m venv "$folder/$release"
  "$folder/$release/bin/pip" -q install "opencv-python-headless==$release" "numpy==2.2.6"
  "$folder/$release/bin/python" "$folder/see.py"
done
