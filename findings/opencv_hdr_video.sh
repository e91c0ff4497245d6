#!/usr/bin/env bash
# Guess: OpenCV and PyAV both convert with FFmpeg's swscale, which looks at the matrix and the range alone: of
#   an HLG or PQ video both give the same picture to a rounding, that of the untouched transfer curve.
# Seen: beside av 18.1.0, opencv-python-headless 5.0.0.93 gives the same plain BT.709 to a level. Of a BT.2020
#   clip whose 10-bit samples are (600, 420, 640) everywhere PyAV gives (208, 138, 105) whatever the transfer,
#   OpenCV (255, 129, 105) if it is tagged HLG, (255, 69, 37) if PQ and (247, 130, 95) if BT.2020's own: it maps
#   primaries and transfer too. 4.10.0.84 looks at no tag: it takes every one of them, plain BT.709 as well, as
#   BT.601 and is 5 to 6 levels off.
# So: a model trained on the frames of one reader sees other colours with another reader or release, on every
#   phone's HDR video; read all pictures with one library.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/see.py" <<'PY'
import os, sys
import av, cv2, numpy as np

os.chdir(os.path.dirname(__file__))
found = {}
for name, transfer, wide in [("bt709", 1, False), ("bt2020", 14, True), ("hlg", 18, True), ("pq", 16, True)]:
    pixels, codec = ("yuv420p10le", "libx265") if wide else ("yuv420p", "libx264")
    with av.open(name + ".mov", "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width = stream.height = 128
        stream.pix_fmt = pixels
        stream.options = {"x265-params": "log-level=none:lossless=1"} if wide else {"qp": "0"}
        context = stream.codec_context
        context.color_trc, context.color_range = transfer, 1
        context.color_primaries = context.colorspace = 9 if wide else 1
        for _ in range(3):
            frame = av.VideoFrame(128, 128, pixels)
            for plane, value in zip(frame.planes, (150, 105, 160)):
                kind = np.uint16 if wide else np.uint8
                plane.update(np.full(plane.buffer_size // kind().nbytes, value * (4 if wide else 1), kind))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with av.open(name + ".mov") as container:
        theirs = next(container.decode(video=0)).to_ndarray(format="rgb24")[64, 64].tolist()
    ours = cv2.VideoCapture(name + ".mov").read()[1][64, 64, ::-1].tolist()
    print(cv2.__version__, name, "PyAV", theirs, "OpenCV", ours)
    found[name] = max(abs(a - b) for a, b in zip(theirs, ours))
print(found)
if cv2.__version__.startswith("5"):
    assert found["bt709"] <= 1 and min(found["hlg"], found["pq"], found["bt2020"]) > 20, found
else:
    assert 4 <= min(found.values()) and max(found.values()) <= 8, found
PY
for release in 4.10.0.84 5.0.0.93; do
  python3 -m venv "$folder/$release"
  "$folder/$release/bin/pip" -q install "opencv-python-headless==$release" "av==18.1.0" "numpy==2.2.6"
  "$folder/$release/bin/python" "$folder/see.py"
done
