#!/usr/bin/env bash
# Guess: MediaPipe's face mesh, given one and the same picture again and again as a video (static_image_mode=False),
#   smooths: after some frames its points stand still, as input and tracked face do.
# Seen: mediapipe 0.10.14: they never do. From the 100th to the 200th frame of a frozen portrait the 478 points of the
#   attention mesh (refine_landmarks=True) still move by 0.2 to 0.5 % of the face's width a frame on average, single ones by
#   more than 1 %, and they lie about 1 % from those of the first frame. With static_image_mode=True they are equal, bit for bit.
# So: each frame is cut by the points of the one before, which feeds itself; points of a frame depend on where decoding began.
#   Movement below some 0.5 % of the face's width a frame is no movement of the face, and a first frame is another kind than
#   the rest: compare stills with stills (static_image_mode=True), or average over frames.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/see.py" <<'PY'
from pathlib import Path

import cv2
import matplotlib
import mediapipe
import numpy as np

photo = Path(matplotlib.get_data_path(), "sample_data", "grace_hopper.jpg")
picture = cv2.cvtColor(cv2.imread(str(photo)), cv2.COLOR_BGR2RGB)


def points(still, count):
    mesh = mediapipe.solutions.face_mesh.FaceMesh(static_image_mode=still, refine_landmarks=True)
    found = [mesh.process(picture).multi_face_landmarks[0].landmark for _ in range(count)]
    places = np.array([[(p.x, p.y) for p in landmarks] for landmarks in found]) * picture.shape[1::-1]
    return places / np.ptp(places[0, :, 0]) * 100  # in % of the face's width


still, video = points(True, 5), points(False, 200)
steps = np.linalg.norm(np.diff(video, axis=0), axis=2)[100:]
away = np.linalg.norm(video[100:] - video[0], axis=2).mean()
print(f"stills: {np.abs(still - still[0]).max():.3f} %")
print(f"video, frames 100 to 200: {steps.mean():.2f} % a frame, at most {steps.max():.2f} %, {away:.2f} % from the first")
assert np.array_equal(still, np.broadcast_to(still[0], still.shape)) and np.allclose(still[0], video[0])
assert 0.1 < steps.mean() < 0.6 and steps.max() > 1 and 0.5 < away < 2
assert (steps.mean(axis=1) > 0.02).all()  # in every single frame
PY
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install "mediapipe==0.10.14" "numpy==2.2.6" "opencv-contrib-python==4.10.0.84" "matplotlib==3.10.7"
"$folder/venv/bin/python" "$folder/see.py" 2> "$folder/said" || { cat "$folder/said"; exit 1; }
