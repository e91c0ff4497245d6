#!/usr/bin/env bash
# Guess: two whole MPEG-TS recordings are appended to each other. PyAV flags no packet as corrupt; at most the first one
#   of the second part, where the numbers of the format's own packets do not go on.
# Seen: av 18.1.0: with H.264 the last packet but one of the *first* part (number 23 of 25) has is_corrupt, the packets
#   on both sides of the seam have not. All 50 frames decode to what the parts alone decode to, and no frame is flagged.
#   The flag is set while FFmpeg's parser is one packet behind its reader, so it falls on another picture.
# So: is_corrupt of a packet is no word about that picture, and near a seam none about damage: ask the decoded frames.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/see.py" <<'PY'
import os
import av, numpy as np

os.chdir(os.path.dirname(__file__))
with av.open("part.ts", "w") as container:
    stream = container.add_stream("libx264", rate=25, options={"bf": "0"})
    stream.width = stream.height = 64
    stream.pix_fmt = "yuv420p"
    for number in range(25):
        picture = np.full((64, 64, 3), 8 * number, np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
    container.mux(stream.encode())
with open("part.ts", "rb") as file:
    part = file.read()
with open("joined.ts", "wb") as file:
    file.write(part + part)


def frames(name):
    with av.open(name) as container:
        return [(frame.to_ndarray(), frame.is_corrupt) for frame in container.decode(video=0)]


with av.open("joined.ts") as container:
    flags = [packet.is_corrupt for packet in container.demux(video=0) if packet.size]
alone, joined = frames("part.ts"), frames("joined.ts")
same = all((new == old).all() for (new, _), (old, _) in zip(joined, [*alone, *alone], strict=True))
print("packets flagged:", [n for n, flag in enumerate(flags) if flag], "of", len(flags))
print("frames flagged:", sum(flag for _, flag in joined), "of", len(joined), "- same pictures as alone:", same)
assert [n for n, flag in enumerate(flags) if flag] == [23] and len(flags) == 50
assert same and not any(flag for _, flag in joined)
PY
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install "av==18.1.0" "numpy==2.2.6"
"$folder/venv/bin/python" "$folder/see.py"
