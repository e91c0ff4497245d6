#!/usr/bin/env bash
# Guess: `codec_context.sample_aspect_ratio = 3/2` before writing makes any file that PyAV writes have
#   pixels of 3:2, as `ffmpeg -vf setsar=3/2` does, whatever codec and container.
# Seen: PyAV 18.1.0: MP4 says so, and H.264 in MKV, whose own headers hold it. FFV1 in MKV loses it: FFmpeg's
#   MKV muxer takes the display size from a field of the stream that PyAV does not set, and FFV1 stores
#   the aspect of each frame, not of the encoder, while PyAV's frames have no such attribute.
# So: lossless label or depth videos of DV or anamorphic sources play squeezed, unless MKV's DisplayWidth is
#   written by other means.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install "av==18.1.0" "numpy==2.2.6"
cat > "$folder/see.py" <<'PY'
import os
from fractions import Fraction
import av, numpy as np

os.chdir(os.path.dirname(__file__))


def see(name, codec, pixels):
    with av.open(name, "w") as container:
        stream = container.add_stream(codec, 25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        stream.codec_context.sample_aspect_ratio = Fraction(3, 2)
        frame = av.VideoFrame.from_ndarray(np.zeros((48, 64), np.uint8), format="gray").reformat(format=pixels)
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(name) as container:
        stream = container.streams.video[0]
        header = stream.sample_aspect_ratio
        for _ in container.decode(stream):
            pass
        decoder = stream.codec_context.sample_aspect_ratio
    print(name, codec, "stream:", header, "decoder:", decoder)
    return header, decoder


three_halves = Fraction(3, 2)
assert see("a.mp4", "libx264", "yuv420p") == (three_halves, three_halves)
assert see("a.mkv", "libx264", "yuv420p") == (three_halves, three_halves)
assert see("b.mkv", "ffv1", "gray") == (None, None)
assert not hasattr(av.VideoFrame, "sample_aspect_ratio")
PY
"$folder/venv/bin/python" "$folder/see.py"
