"""Training clips a second from one loader worker at 320 × 320, with and without augmentation.

Run: python benchmarks/loader.py DATA_ROOT
"""

import argparse
import time

from facemask.data import ClipAugmentation, ClipTransform, FaceMaskDataModule


def clips_per_second(root: str, augmentation: ClipTransform | None, clips: int = 300) -> float:
    data = FaceMaskDataModule(root, batch_size=2, num_workers=1, augmentation=augmentation)
    data.setup("fit")
    loader = data.train_dataloader()
    for _ in loader:  # start the worker and fill the file cache
        pass
    seen, start = 0, time.perf_counter()
    while seen < clips:
        for batch in loader:
            seen += len(batch["images"])
    return seen / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data_root", metavar="DATA_ROOT")
    root = parser.parse_args().data_root
    print(f"{'augmentation':<16}{'clips/s':>8}")
    for name, augmentation in (("none", None), ("ClipAugmentation", ClipAugmentation())):
        print(f"{name:<16}{clips_per_second(root, augmentation):>8.1f}", flush=True)


if __name__ == "__main__":
    main()
