"""Tests of imports by former paths, which YAML files, checkpoints and others' programs name."""

import importlib

import pytest

# module by its former path, and a name in it
FORMER = [
    ("models.cascade_regions", "find_boxes"),
    ("show", "show"),
    ("trainer_cli", "TrainerCLI"),
    ("run_log.panels", "ValidationPanels"),
    ("run_log.pictures", "to_gif"),
    ("run_log.provenance", "git_revision"),
    ("records.table", "FrameTable"),
    ("records.sequences", "SequenceTable"),
    ("tracking.landmark_command", "landmarks"),
    ("models.network_module", "NetworkModule"),
    ("models.cascade_stitch", "stitch"),
    ("callbacks", "SyncBatchNorm"),
    ("checkpointing", "ResumableRun"),
    ("data.crops", "face_crop_box"),
    ("data.feature_cache", "FeatureCache"),
    ("data.features", "FeatureDataset"),
    ("data.more_training", "count_shares"),
    ("data.samplers", "EpochSampler"),
    ("data.find", "find_videos"),
    ("data.splits", "split_by_subject"),
    ("data.splits", "SPLIT_NAMES"),
    ("data.occlusion", "Occluders"),
    ("data.still_motion", "StillMotion"),
    ("data.clip_transforms", "Lighting"),
    ("data.transforms", "ClipTransform"),
    ("data.transforms", "resize_image"),
    ("models.baseline_modules", "FCNVGG16Module"),
    ("models.baseline_modules", "DeepLabModule"),
    ("models.cascade", "Cascade"),
    ("metrics.means", "WeightedMeans"),
    ("models.cascade_file", "write_cascade"),
    ("models.cascade_header", "read_card"),
    ("models.cascade_module", "CascadeModule"),
    ("models.cascade_settings", "CascadeSettings"),
    ("models.checkpoints", "read_checkpoint"),
    ("models.deeplab", "DeepLab"),
    ("models.dense_crf", "DenseCRF"),
    ("models.fcn_vgg16", "FCNVGG16"),
    ("models.landmark_module", "LandmarkTrackerModule"),
    ("models.mask_module", "MaskModule"),
    ("models.modules", "FCNModule"),
    ("models.modules", "ConvLSTMFCNModule"),
    ("models.skips", "SkipFusion"),
    ("models.upsample", "upsample_bilinear"),
    ("models.vgg16", "VGG16Network"),
    ("records", "read_run"),
    ("records.read", "Run"),
    ("records.record", "Record"),
    ("report.read", "find_run"),
    ("records.recorder", "FrameRecorder"),
    ("run_log", "ValidationPanels"),
    ("run_log", "RunInfo"),
    ("run_log", "TrainingScalars"),
    ("run_log", "CheckedWandbLogger"),
    ("run_log.names", "MIOU"),
    ("run_log.sinks", "log_panels"),
    ("tracking.cuts", "CutDetector"),
    ("tracking.dlib_detector", "DlibDetector"),
    ("tracking.geometry", "FaceBox"),
    ("tracking.geometry", "face_box_of_mask"),
    ("tracking.landmark_tracker", "LandmarkTrackerSettings"),
    ("tracking.landmarks", "LandmarkPredictor"),
    ("tracking.mediapipe_detector", "MediapipeDetector"),
    ("tracking.yunet_detector", "YunetDetector"),
    ("video.squares", "SquarePixels"),
    ("weights.find", "find_weights"),
    ("weights.hub", "parse_id"),
]


@pytest.mark.parametrize(("module", "name"), FORMER)
def test_a_former_path_finds_what_it_named(module: str, name: str) -> None:
    found = getattr(importlib.import_module(f"facemask.{module}"), name)
    home = getattr(found, "__module__", None)  # a constant has none
    assert home is None or getattr(importlib.import_module(home), name) is found


@pytest.mark.parametrize("name", ["facemask.models.modulus", "facemask.nothing", "callbacks"])
def test_other_names_are_still_unknown(name: str) -> None:
    with pytest.raises(ModuleNotFoundError, match=name):
        importlib.import_module(name)
