#!/usr/bin/env bash
# Guess: np.load gives back each array that np.savez stored, under the name it was stored with, or refuses names
#   that it cannot keep apart.
# Seen: numpy 2.2.6: of {"x": 1, "x.npy": 2} both names are listed, and both give 1; alone, "x.npy" gives 2.
#   The second array is in the file, but only "x.npy.npy" gives it.
# So: names of arrays taken from names of files (x.npy, x.npy.png without its suffix) can give another file's
#   array without an error. Names that end in .npy do not belong into .npz files.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/see.py" <<'PY'
import os
import numpy as np

os.chdir(os.path.dirname(__file__))
np.savez("both.npz", **{"x": np.array(1), "x.npy": np.array(2)})
np.savez("alone.npz", **{"x.npy": np.array(2)})
with np.load("both.npz") as both, np.load("alone.npz") as alone:
    seen = {name: int(both[name]) for name in both.files}
    print("both:", seen, "alone:", {name: int(alone[name]) for name in alone.files})
    assert seen == {"x": 1, "x.npy": 1}, seen
    assert int(both["x.npy.npy"]) == 2
    assert int(alone["x.npy"]) == 2
PY
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install "numpy==2.2.6"
"$folder/venv/bin/python" "$folder/see.py"
