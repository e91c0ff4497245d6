#!/usr/bin/env bash
# Guess: a JPEG of which only the first half was copied is no readable image to OpenCV, as a cut PNG is
#   none: imread and imdecode return None.
# Seen: opencv-python-headless 5.0.0.93: imread returns a picture of full size, its rest smeared or grey,
#   while imdecode of the very same bytes returns None. With 4.10.0.84 imdecode returns the grey picture,
#   too. A cut PNG is None in all four cases. Pillow 12.3.0 raises "image file is truncated".
# So: what a program reads of a half-copied JPEG depends on how it reads it and on OpenCV's release;
#   look for the end-of-image marker yourself.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/see.py" <<'PY'
import os, sys
import cv2, numpy as np

os.chdir(os.path.dirname(__file__))
rows, columns = np.mgrid[:200, :300]
picture = np.stack([rows, columns % 256, (rows + columns) % 256], axis=-1).astype(np.uint8)
seen = []
for suffix in (".jpg", ".png"):
    data = cv2.imencode(suffix, picture)[1].tobytes()
    half = data[: len(data) // 2]
    open("half" + suffix, "wb").write(half)
    for image in (cv2.imread("half" + suffix), cv2.imdecode(np.frombuffer(half, np.uint8), cv2.IMREAD_COLOR)):
        seen.append("None" if image is None else "picture")
print(cv2.__version__, "jpg imread, imdecode, png imread, imdecode:", *seen)
assert seen == sys.argv[1:], seen
PY
for release in "4.10.0.84 picture picture None None" "5.0.0.93 picture None None None"; do
  read -r -a release <<< "$release"; set -- "${release[@]}"
  python3 -m venv "$folder/$1"
  "$folder/$1/bin/pip" -q install "opencv-python-headless==$1" "numpy==2.2.6"
  "$folder/$1/bin/python" "$folder/see.py" "${@:2}" 2> "$folder/said" || { cat "$folder/said"; exit 1; }
done
"$folder/5.0.0.93/bin/pip" -q install "pillow==12.3.0"
"$folder/5.0.0.93/bin/python" - "$folder/half.jpg" <<'PY'
import sys
from PIL import Image

try:
    Image.open(sys.argv[1]).load()
except OSError as error:
    print("Pillow:", error)
    assert "truncated" in str(error)
else:
    sys.exit("Pillow read it")
PY
