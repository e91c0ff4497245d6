#!/usr/bin/env bash
# Guess: two MPEG-TS recordings are appended to each other, the second made 1000 s before the first: its packets' time
#   stamps, as PyAV gives them, step back by 1000 s.
# Seen: av 18.1.0: they leap forward by 94,444 s (26 hours). FFmpeg takes what is more than 60 s earlier than the file's
#   first stamp for an overflow of the format's 33-bit clock, and adds 2^33 ticks; up to 60 s they step back as guessed.
#   The frames are all there, and no flag tells.
# So: "the clock was set anew" cannot be told by a step back alone: a leap forward of hours is one, too. A test whose
#   parts lie less than a minute apart does not meet it.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/see.py" <<'PY'
import os
import av, numpy as np

os.chdir(os.path.dirname(__file__))


def record(clock):
    with av.open("part.ts", "w") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for number in range(25):
            picture = np.full((64, 64, 3), 8 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number + 25 * clock
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with open("part.ts", "rb") as file:
        return file.read()


for first, second, expected in [(1000, 941, -59), (1000, 939, -61 + 2**33 / 90000), (1000, 0, -1000 + 2**33 / 90000)]:
    with open("joined.ts", "wb") as file:
        file.write(record(first) + record(second))
    with av.open("joined.ts") as container:
        times = [float(p.pts * p.time_base) for p in container.demux(video=0) if p.pts is not None]
    step = times[25] - times[0]
    print(f"clocks of {first} and {second} s: {len(times)} packets, the second part begins {step:+.1f} s from the first")
    assert len(times) == 50 and abs(step - expected) < 0.1, (step, expected)
PY
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install "av==18.1.0" "numpy==2.2.6"
"$folder/venv/bin/python" "$folder/see.py"
