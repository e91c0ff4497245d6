"""Names of all that the callbacks of this package log; docs/wandb.md explains each."""

from typing import Final

# scalars of training: Lightning adds _step and _epoch
GRADIENT_NORM: Final = "train/gradient_norm"
FRAMES_PER_SECOND: Final = "train/frames_per_second"
DATA_WAIT: Final = "train/data_wait"

# logged by the module; the best epoch is that with the highest mIoU
VALIDATION: Final = "val/"
MIOU: Final = "miou"
CLASS_IOU: Final = "iou_"
PIXEL_ACCURACY: Final = "pixel_accuracy"

BEST: Final = "best/"
BEST_EPOCH: Final = "best/epoch"

# panels
CLIPS: Final = "val/clips"
VIDEO: Final = "val/video"
CONFUSION: Final = "val/confusion"
CONFUSION_FILE: Final = "confusion.csv"
TRUTH: Final = "ground_truth"
PREDICTION: Final = "prediction"

# configuration, beside the YAML's own keys
GIT_REVISION: Final = "git_revision"
GIT_CHANGES: Final = "git_changes"
FINGERPRINT: Final = "fingerprint_"
FRAMES: Final = "frames_"
FACEMASK_VERSION: Final = "facemask_version"
TORCH_VERSION: Final = "torch_version"
LIGHTNING_VERSION: Final = "lightning_version"
