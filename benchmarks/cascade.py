"""Time of the cascade a frame against its primary alone, and its memory by the number of clips.

Random weights find no face, so the primary's scores are replaced by those of a drawn face after it
has done its work; everything else is as in use. Cascade and primary are timed alternately in one
run. From the checkout: `OMP_WAIT_POLICY=PASSIVE python benchmarks/cascade.py`.
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from facemask.models import Cascade, ConvLSTMFCN

FRAMES, SIZE = 5, 320
BACKBONES = {"resnet50": 5, "mobilenetv3_small_100": 9}  # rounds of each
CLIPS = (2, 12)


class Primary(nn.Module):
    """A network that takes its time, and then finds a face with eyes and a mouth."""

    num_classes = 5

    def __init__(self, backbone: str) -> None:
        """Build the network and draw the face."""
        super().__init__()
        self.network = ConvLSTMFCN(backbone)
        self.mean, self.std = self.network.mean, self.network.std
        self.register_buffer("face", draw_face())

    def forward(self, clips: Tensor) -> tuple[Tensor, object]:
        """The face's scores, with a little of the network's own."""
        scores, state = self.network(clips)
        return 0.01 * scores + self.face, state


def draw_face() -> Tensor:
    """Scores (5, SIZE, SIZE) of a frontal face as wide as usual crops have it."""
    labels = torch.zeros(SIZE, SIZE, dtype=torch.int64)
    labels[60:280, 55:265] = 1
    labels[105:117, 90:130] = labels[105:117, 190:230] = 2
    labels[205:240, 115:205] = 3
    labels[216:230, 128:192] = 4
    return nn.functional.one_hot(labels, 5).permute(2, 0, 1).float()


def make_clips(count: int) -> list[list[Tensor]]:
    """Clips whose frames differ in size by a few pixels."""
    torch.manual_seed(0)
    return [
        [
            torch.randint(0, 256, (3, 300 + t + b % 3, 302 - t), dtype=torch.uint8)
            for t in range(FRAMES)
        ]
        for b in range(count)
    ]


def make_cascades(backbone: str) -> tuple[Cascade, Cascade]:
    """The primary alone, and with both specialists."""
    primary = Primary(backbone)
    eyes, mouth = ConvLSTMFCN(backbone, 2), ConvLSTMFCN(backbone, 3)
    return Cascade(primary).eval(), Cascade(primary, eyes, mouth).eval()


def time_backbone(backbone: str, rounds: int) -> None:
    alone, cascade = make_cascades(backbone)
    clips = make_clips(2)
    each_eye = Cascade(cascade.primary, cascade.eyes, cascade.mouth).eval()
    each_eye.settings = type(cascade.settings)(refine_each_eye=True)
    ways = {"primary alone": alone, "cascade": cascade, "cascade, a box for each eye": each_eye}
    milliseconds: dict[str, list[float]] = {name: [] for name in ways}
    for n in range(rounds + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            output = way(clips)
            if n:  # the first round warms up
                milliseconds[name].append(
                    1000 * (time.perf_counter() - start) / (FRAMES * len(clips))
                )
            assert all(bool(found.all()) for found in output.found.values())
    medians = {name: statistics.median(times) for name, times in milliseconds.items()}
    print(f"\n{backbone}, {len(clips)} clips of {FRAMES} frames of about 300 × 300")
    print(f"{'':<30}{'median ms a frame':>18}{'ratio':>8}")
    for name, median in medians.items():
        print(f"{name:<30}{median:>18.1f}{median / medians['primary alone']:>8.2f}", flush=True)


def status(name: str) -> float:
    """A line of this process's status in MiB; Linux only."""
    (line,) = [x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(name)]
    return int(line.split()[1]) / 1024


def print_peak(count: int) -> None:
    """Memory above that before the call in MiB, in a process of its own."""
    cascade, clips = make_cascades("mobilenetv3_small_100")[1], make_clips(count)
    with torch.inference_mode():
        cascade(make_clips(1))  # the library's own buffers
        before = status("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        cascade(clips)
    print(status("VmHWM") - before)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        print_peak(options.peak)
        return
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    with torch.inference_mode():
        for backbone, rounds in BACKBONES.items():
            time_backbone(backbone, rounds)
    print("\nmobilenetv3_small_100, peak memory above the networks' (max_frames = 10)")
    for count in (*CLIPS, 4 * CLIPS[-1]):
        command = [sys.executable, __file__, "--peak", str(count)]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        print(f"{count:>3} clips {float(result.stdout):>8.0f} MiB")


if __name__ == "__main__":
    main()
