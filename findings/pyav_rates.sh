#!/usr/bin/env bash
# Guess: a raw H.264 or HEVC stream whose header states 30 frames a second has average_rate 30 in PyAV.
# Seen: av 18.1.0: average_rate is 25 and guessed_rate 30, for both (base_rate 60 for H.264, 30 for HEVC). In an
#   MP4 of the same encoder all are 30. 25 is the default of FFmpeg's raw demuxers, which no header changes; the
#   guess alone looks at what the decoder has read.
# So: take guessed_rate. Two seconds at 30 frames/s last 2.4 s to whoever divides by average_rate.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/see.py" <<'PY'
import os
import av, numpy as np

os.chdir(os.path.dirname(__file__))
for codec, raw in [("libx264", "h264"), ("libx265", "hevc")]:
    for suffix in (raw, "mp4"):
        name = f"{codec}.{suffix}"
        with av.open(name, "w") as container:
            stream = container.add_stream(codec, rate=30)
            stream.width = stream.height = 128
            stream.pix_fmt = "yuv420p"
            if codec == "libx265":
                stream.options = {"x265-params": "log-level=none"}
            for number in range(60):
                picture = np.full((128, 128, 3), 4 * number, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
        with av.open(name) as container:
            stream = container.streams.video[0]
            rates = stream.average_rate, stream.guessed_rate
            print(name, "average_rate", rates[0], "guessed_rate", rates[1], "base_rate", stream.base_rate)
            assert stream.base_rate == (60 if name.endswith("h264") else 30)
            assert rates == ((25, 30) if suffix == raw else (30, 30)), rates
PY
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install "av==18.1.0" "numpy==2.2.6"
"$folder/venv/bin/python" "$folder/see.py"
