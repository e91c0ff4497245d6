#!/usr/bin/env bash
# Guess: OpenCV and PyAV both convert with FFmpeg's swscale, so one frame gives the same RGB to within a
#   grey level or two, whatever its tags; untagged HD video is read by BT.709, as players do.
# Seen: one flat colour, RGB (180, 90, 60), stored without loss by the matrix that the tags name:
#   PyAV 18.1.0 gives it back for BT.601, BT.709 and BT.2020, in limited and in full range, whatever the
#   transfer. opencv-python-headless 5.0.0.93 agrees but for BT.2020: it gives (221, 71, 44) with BT.2020's own
#   transfer, (255, 86, 61) with HLG and (255, 73, 46) with PQ, because it converts primaries and
#   transfer, too, without saying so. 4.10.0.84 heeds no tag: full range becomes (190, 86, 53) and BT.709
#   (172, 81, 62). Untagged video of 720 rows is read by BT.601 by all three.
# So: a model that was trained on pictures read with one and is used on pictures read with the other
#   sees other skin on every phone's HDR video, and on any full-range or BT.709 video with the older OpenCV;
#   for untagged HD whoever calls FFmpeg must choose the matrix.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/see.py" <<'PY'
import os, sys
import av, cv2, numpy as np

os.chdir(os.path.dirname(__file__))
COLOR = (180, 90, 60)
WEIGHTS = {601: (0.299, 0.114), 709: (0.2126, 0.0722), 2020: (0.2627, 0.0593)}  # of red and blue
TAGS = {601: (6, 6), 709: (1, 1), 2020: (9, 9)}  # matrix, primaries
TRANSFERS = {"BT.601": 6, "BT.709": 1, "BT.2020": 14, "HLG": 18, "PQ": 16}


def write(matrix, full, transfer):
    kr, kb = WEIGHTS[matrix]
    red, green, blue = (value / 255 for value in COLOR)
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    cb, cr = (blue - luma) / (2 * (1 - kb)), (red - luma) / (2 * (1 - kr))
    scale, offset, chroma = (1023, 0, 1023) if full else (876, 64, 896)
    with av.open("a.mkv", "w") as container:
        stream = container.add_stream("ffv1", 25)
        stream.width, stream.height, stream.pix_fmt = 96, 720, "yuv420p10le"
        context = stream.codec_context
        context.color_range = 2 if full else 1
        if transfer:
            context.colorspace, context.color_primaries = TAGS[matrix]
            context.color_trc = TRANSFERS[transfer]
        frame = av.VideoFrame(96, 720, "yuv420p10le")
        for plane, value in zip(frame.planes, (offset + scale * luma, 512 + chroma * cb, 512 + chroma * cr)):
            plane.update(np.full(plane.buffer_size // 2, round(value), np.uint16).tobytes())
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def near(image, color):
    return np.abs(image[40, 40].astype(int) - color).max() <= 3


old = cv2.__version__.startswith("4.")
for matrix, full, transfer, by_pyav, by_old, by_new in (
    (601, False, "BT.601", COLOR, COLOR, COLOR),
    (601, True, "BT.601", COLOR, (190, 86, 53), COLOR),
    (709, False, "BT.709", COLOR, (172, 81, 62), COLOR),
    (2020, False, "BT.2020", COLOR, (177, 87, 63), (221, 71, 44)),
    (2020, False, "HLG", COLOR, (177, 87, 63), (255, 86, 61)),
    (2020, False, "PQ", COLOR, (177, 87, 63), (255, 73, 46)),
    (709, False, None, (171, 82, 61), (172, 81, 62), (172, 81, 62)),
):
    write(matrix, full, transfer)
    with av.open("a.mkv") as container:
        rgb = next(container.decode(video=0)).to_ndarray(format="rgb24")
    bgr = cv2.VideoCapture("a.mkv", cv2.CAP_FFMPEG).read()[1]
    print(f"BT.{matrix}", "full" if full else "limited", transfer or "untagged", "720 rows:",
          f"PyAV {av.__version__}", rgb[40, 40].tolist(), f"OpenCV {cv2.__version__}", bgr[40, 40, ::-1].tolist())
    assert near(rgb, by_pyav)
    assert near(bgr[..., ::-1], by_old if old else by_new)
PY
for release in 4.10.0.84 5.0.0.93; do
  python3 -m venv "$folder/$release"
  "$folder/$release/bin/pip" -q install "opencv-python-headless==$release" "av==18.1.0" "numpy==2.2.6"
  "$folder/$release/bin/python" "$folder/see.py"
done
