#!/usr/bin/env bash
# Guess: of several whole files appended to each other, PyAV reads all of MPEG-TS and MKV, and the first one of MP4.
# Seen: av 18.1.0: all four parts of MPEG-TS, one of MP4 - and of MKV exactly two, whatever their number and length, then
#   an ordinary end of the file: no error, no flag.
# So: two parts of WebM prove nothing about three. Compare the place of the last packet with the size of the file.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/see.py" <<'PY'
import os
import av, numpy as np

os.chdir(os.path.dirname(__file__))
for suffix, expected in [("ts", [1, 2, 3, 4]), ("mkv", [1, 2, 2, 2]), ("mp4", [1, 1, 1, 1])]:
    for length in (10, 200):
        with av.open(f"part.{suffix}", "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.width = stream.height = 64
            stream.pix_fmt = "yuv420p"
            for number in range(length):
                picture = np.full((64, 64, 3), number, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
        with open(f"part.{suffix}", "rb") as file:
            part = file.read()
        read = []
        for parts in (1, 2, 3, 4):
            with open(f"joined.{suffix}", "wb") as file:
                file.write(part * parts)
            with av.open(f"joined.{suffix}") as container:
                read.append(sum(1 for _ in container.decode(video=0)) / length)
        print(f"{suffix}, parts of {length} frames: of 1, 2, 3, 4 parts are read", read)
        assert read == expected, (read, expected)
PY
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install "av==18.1.0" "numpy==2.2.6"
"$folder/venv/bin/python" "$folder/see.py"
