#!/usr/bin/env bash
# Guess: PyAV gives the frames of an AVI with B-frames the times number / rate, as of the same packets in MP4.
# Seen: av 18.1.0: the frames come in the order of showing in both, but in the AVI with the times 0.04, 0.12,
#   0.16, 0.08, 0.24, 0.28, 0.2 ...: those are positions in the order of decoding, as AVI stores no times of showing.
#   From MP4 they are 0, 0.04, 0.08 ...
# So: times of AVI frames go back and forth without any error; number / rate is right there. Sorting by time, or
#   dropping frames that step back, breaks a sequence that was in order. Laboratory cameras, and 300-VW, use AVI.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/see.py" <<'PY'
import os
import av, numpy as np

os.chdir(os.path.dirname(__file__))
times, order = {}, {}
for suffix in ("mp4", "avi"):
    with av.open("clip." + suffix, "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 128
        stream.pix_fmt = "yuv420p"
        stream.options = {"bf": "2", "b_strategy": "0", "sc_threshold": "0"}
        for number in range(25):
            picture = np.full((128, 128, 3), 10 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    with av.open("clip." + suffix) as container:
        frames = list(container.decode(video=0))
        times[suffix] = [None if frame.time is None else round(frame.time, 3) for frame in frames]
        order[suffix] = [round(float(frame.to_ndarray(format="gray").mean())) for frame in frames]
    print(suffix, len(frames), times[suffix][:9])
    assert order[suffix] == sorted(order[suffix]) and len(set(order[suffix])) == 25
assert times["mp4"] == [round(number / 25, 3) for number in range(25)], times
assert times["avi"][:7] == [0.04, 0.12, 0.16, 0.08, 0.24, 0.28, 0.2], times
PY
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install "av==18.1.0" "numpy==2.2.6"
"$folder/venv/bin/python" "$folder/see.py"
