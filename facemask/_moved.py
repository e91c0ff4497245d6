"""Modules by their former paths, as YAML files, checkpoints and programs of others name them."""

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Final

_MOVED: Final = {
    "callbacks": ["training.callbacks"],
    "checkpointing": ["training.checkpointing"],
    "data.clip_transforms": ["data.augment.pipeline"],
    "data.crops": ["boxes"],
    "data.feature_cache": ["training.feature_cache"],
    "data.features": ["data.feature_clips"],
    "data.find": ["data.vw300"],
    "data.more_training": ["data.loaders"],
    "data.occlusion": ["data.augment.occlusion"],
    "data.samplers": ["data.loaders"],
    "data.splits": ["data.prepare", "data.split", "data.vw300_mask"],
    "data.still_motion": ["data.augment.still_motion"],
    "data.transforms": ["data.augment.transforms", "resample"],
    "metrics.means": ["training.means"],
    "metrics_file": ["training.metrics_file"],
    "models.baseline_modules": ["training.baseline_modules"],
    "models.cascade_file": ["models.cascade.file"],
    "models.cascade_header": ["models.cascade.file"],
    "models.cascade_module": ["training.cascade_module"],
    "models.cascade_regions": ["models.cascade.zoom"],
    "models.cascade_settings": ["models.cascade.settings"],
    "models.cascade_stitch": ["models.cascade.stitch"],
    "models.checkpoints": ["checkpoints"],
    "models.deeplab": ["models.baselines.deeplab"],
    "models.dense_crf": ["models.baselines.dense_crf"],
    "models.fcn_vgg16": ["models.baselines.vgg16"],
    "models.landmark_module": ["training.landmark_module"],
    "models.mask_module": ["training.mask_module"],
    "models.modules": ["training.modules"],
    "models.network_module": ["training.network_module"],
    "models.skips": ["models.backbone"],
    "models.upsample": ["models.fcn"],
    "models.vgg16": ["models.baselines.vgg16"],
    "random_state": ["training.checkpointing"],
    "records": ["report"],
    "records.read": ["report.record"],
    "records.record": ["report.record"],
    "records.recorder": ["report.recorder"],
    "records.sequences": ["report.sequence_table"],
    "records.table": ["report.frame_table"],
    "report.read": ["report.record"],
    "run_log": ["training.loggers"],
    "run_log.checked_wandb": ["training.loggers.checked_wandb"],
    "run_log.clips": ["training.loggers.clips"],
    "run_log.info": ["training.loggers.info"],
    "run_log.names": ["training.loggers.names"],
    "run_log.panels": ["training.loggers.panels"],
    "run_log.pictures": ["training.loggers.clips"],
    "run_log.provenance": ["training.loggers.info"],
    "run_log.scalars": ["training.loggers.scalars"],
    "run_log.sinks": ["training.loggers.sinks"],
    "show": ["data.show"],
    "tracking.cuts": ["tracking.flow"],
    "tracking.dlib_detector": ["tracking.detectors"],
    "tracking.geometry": ["boxes"],
    "tracking.landmark_command": ["annotate.command"],
    "tracking.landmark_tracker": ["annotate.landmark_tracker"],
    "tracking.landmarks": ["annotate.predictor"],
    "tracking.mediapipe_detector": ["tracking.detectors"],
    "tracking.pseudo_folder": ["annotate.pseudo_folder"],
    "tracking.yunet_detector": ["tracking.yunet"],
    "trainer_cli": ["training.cli"],
    "video.squares": ["video.frames"],
    "weights.find": ["weights.catalog"],
    "weights.hub": ["hub"],
}
"""Former path of a module, and the modules that have its public names now."""


class _Former(MetaPathFinder, Loader):
    """Finds modules by their former paths, with the names that they had."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return this loader for a former path, None for any other name."""
        del path, target
        package, _, rest = name.partition(".")
        known = package == "facemask" and rest in _MOVED
        return ModuleSpec(name, self, is_package="." not in rest) if known else None

    def exec_module(self, module: ModuleType) -> None:
        """Fill the module with the public names of its successors."""
        for successor in _MOVED[module.__name__.partition(".")[2]]:
            names = vars(importlib.import_module(f"facemask.{successor}"))
            vars(module).update({k: v for k, v in names.items() if not k.startswith("__")})


def find_former_paths() -> None:
    """Let imports of former paths find what is elsewhere now; others cost nothing."""
    if not any(isinstance(finder, _Former) for finder in sys.meta_path):
        sys.meta_path.append(_Former())
