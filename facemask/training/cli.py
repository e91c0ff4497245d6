"""`facemask fit|validate|test|predict`: LightningCLI with our defaults."""

import errno
import logging
import shutil
import signal
import sys
import tempfile
import warnings
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Literal

import torch
from jsonargparse import Namespace
from lightning_fabric.utilities.exceptions import MisconfigurationException
from lightning_utilities.core.rank_zero import rank_zero_info, rank_zero_warn
from pytorch_lightning import Trainer
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.plugins.io import CheckpointIO
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher

from facemask import __version__, configuration
from facemask.checkpoints import read_checkpoint
from facemask.data.datamodule import FaceMaskDataModule
from facemask.errors import InputError
from facemask.files import make_folder
from facemask.parser_errors import SentenceParser
from facemask.report.recorder import FrameRecorder
from facemask.training.callbacks import LabelWriter, TrainingGuard
from facemask.training.checkpointing import (
    AtomicCheckpointIO,
    ResumableRun,
    last_checkpoints,
    model_checkpoints,
    remove_unfinished,
)
from facemask.training.metrics_file import csv_loggers, set_metrics_aside
from facemask.training.scored_module import ScoredModule


class _Parser(SentenceParser, LightningArgumentParser):
    """Lightning's parser, whose errors are one sentence."""


class TrainerCLI(LightningCLI):
    """LightningCLI for any `ScoredModule` and `FaceMaskDataModule`, by class path in YAML."""

    def __init__(self, arguments: list[str] | None) -> None:
        """Parse and run.

        Args:
            arguments: The verb and its options; None takes those of the process.
        """
        _quieten_lightning()
        super().__init__(
            ScoredModule,
            FaceMaskDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            seed_everything_default=0,
            save_config_kwargs={"overwrite": True},
            # the loaders share whole batches out themselves; Lightning would repeat samples
            trainer_defaults={"use_distributed_sampler": False},
            parser_class=_Parser,
            parser_kwargs={
                "prog": "facemask",
                "parser_mode": configuration.parser_mode(),
                "version": __version__,
                "description": "Dense face masks from video.",
            },
            args=configuration.expand_words(sys.argv[1:] if arguments is None else arguments),
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of what `predict` (`--predictions`) and `test` (`--record`) write."""
        parser.add_lightning_class_args(LabelWriter, "predictions")
        parser.add_lightning_class_args(FrameRecorder, "record")

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Lightning's verbs without the option `weights_only`, which is always true here."""
        verbs = LightningCLI.subcommands()
        return {verb: skip | {"weights_only"} for verb, skip in verbs.items()}

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        return super()._prepare_subcommand_kwargs(subcommand) | {"weights_only": True}

    def _add_subcommands(self, parser: LightningArgumentParser, **kwargs: Any) -> None:  # noqa: ANN401
        super()._add_subcommands(parser, **kwargs)
        self._subcommand_parsers["fit"].add_argument(
            "--resume",
            type=Literal["auto"] | None,
            default=None,
            help="auto: go on from the newest last.ckpt of the ModelCheckpoint's dirpath, if any.",
        )

    def _parse_ckpt_path(self) -> None:
        """Keep the configuration given; Lightning's lets the checkpoint override it silently."""

    def before_instantiate_classes(self) -> None:
        """Check the checkpoint and the devices early.

        Raises:
            InputError: The checkpoint is missing or cannot be read, options contradict each
                other, or there are fewer devices than asked for.
        """
        config = self.config[self.subcommand]
        path = config.get("ckpt_path")
        if path and config.get("resume"):
            raise InputError(
                f"--resume auto and --ckpt_path {path} are both given: give --resume auto to look "
                "for the checkpoint, or --ckpt_path to name it."
            )
        if path and path not in ("best", "last", "hpc"):
            checkpoint = read_checkpoint(Path(path))
            if self.subcommand == "fit":
                _check_training_state(checkpoint, path)
        kind: type[ScoredModule] = resolve_name(config.model.class_path)
        if self.subcommand != "fit" and not path and kind.needs_checkpoint:
            raise InputError(
                f"`facemask {self.subcommand}` needs trained weights: give --ckpt_path FILE."
            )
        _check_devices(config.trainer.accelerator, config.trainer.devices)
        if self.subcommand != "fit":  # a folder of its own inside that of the training
            loggers = config.trainer.logger
            for logger in loggers if isinstance(loggers, list) else [loggers]:
                if not isinstance(logger, Namespace) or "version" not in logger.init_args:
                    continue
                if issubclass(resolve_name(logger.class_path), CSVLogger):
                    logger.init_args.version = self.subcommand

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:  # noqa: ANN401
        """The trainer, with what makes its runs resumable.

        Raises:
            InputError: Lightning refuses the options.
        """
        config = self._get(self.config_init, "trainer")
        plugins = config["plugins"] or []
        plugins = list(plugins) if isinstance(plugins, list) else [plugins]
        if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            parts = (self._get(self.config_init, name) for name in ("model", "data"))
            plugins.append(AtomicCheckpointIO(*map(type, parts)))
        if self.subcommand == "fit":
            given = config["callbacks"] or []
            given = given if isinstance(given, list) else [given]
            config["callbacks"] = [ResumableRun(), TrainingGuard(), *given]
        try:
            return super().instantiate_trainer(**{"plugins": plugins} | kwargs)
        except MisconfigurationException as error:
            raise _one_sentence(error) from error

    def before_fit(self) -> None:
        """Find the checkpoint to go on from, and check where the run will write.

        Raises:
            InputError: There is no checkpoint to go on from, or a folder cannot be written to or
                has too little space.
        """
        config, trainer = self.config_init["fit"], self.trainer
        if trainer.fast_dev_run:  # type: ignore[attr-defined]  # writes nothing
            return
        if config["resume"] == "auto" or config["ckpt_path"] == "last":
            config["ckpt_path"] = self._last_checkpoint(config["resume"] == "auto")
        if trainer.is_global_zero:
            self._check_folders()
            resumed, folders = config["ckpt_path"], _checkpoint_folders(trainer)
            for folder in folders:
                remove_unfinished(folder)
            same_run = bool(resumed) and Path(resumed).resolve().parent in folders
            for logger in csv_loggers(trainer):
                set_metrics_aside(Path(logger.log_dir), same_run)

    def _last_checkpoint(self, auto: bool) -> str | None:
        folders = _checkpoint_folders(self.trainer)
        if not folders:
            option = "--resume auto" if auto else "--ckpt_path last"
            raise InputError(
                f"{option} looks in the folder of the ModelCheckpoint, and none has a dirpath: "
                "give one with `dirpath` and `save_last: true`."
            )
        for path in last_checkpoints(folders):
            try:
                checkpoint = read_checkpoint(path)
                _check_training_state(checkpoint, str(path))
            except InputError as error:
                rank_zero_warn(f"Passed over: {error}")
                continue
            if auto and _is_finished(checkpoint, self.trainer):
                rank_zero_info(
                    f"The run of {path} is finished (epoch {_epochs(checkpoint)}, step "
                    f"{checkpoint['global_step']}): nothing is left to do."
                )
                raise SystemExit(0)
            return str(path)
        if auto:
            rank_zero_info("There is no checkpoint to go on from: a new run starts.")
            return None
        raise InputError(
            f"--ckpt_path last: there is no last.ckpt in {', '.join(map(str, folders))}: give a "
            "checkpoint's path, or start with --resume auto."
        )

    def _check_folders(self) -> None:
        """Raise an `InputError` if what training writes has no place to go to."""
        writers = _checkpoint_folders(self.trainer)
        loggers = [logger.save_dir for logger in self.trainer.loggers]
        folders = [*writers, *(Path(folder) for folder in loggers if folder)]
        for folder in folders or [Path(self.trainer.default_root_dir)]:
            _check_writable(folder)
        state = self.model.state_dict().values()
        trained = [p for p in self.model.parameters() if p.requires_grad]
        # Adam keeps two more numbers for each that it trains
        size = sum(t.nbytes for t in state) + 2 * sum(p.nbytes for p in trained)
        for folder in writers:
            free = shutil.disk_usage(folder).free
            if free < 3 * size:
                raise InputError(
                    f"{folder}: {free / 1e6:.0f} MB are free, but three checkpoints of this model "
                    f"take {3 * size / 1e6:.0f} MB: make room or write elsewhere."
                )

    def _run_subcommand(self, subcommand: str) -> None:
        try:
            super()._run_subcommand(subcommand)
        except BaseException as error:
            launcher = self.trainer.strategy.launcher
            if isinstance(launcher, _SubprocessScriptLauncher):  # they would wait for this one
                launcher.kill(signal.SIGKILL)
            interrupted = isinstance(error.__context__, KeyboardInterrupt)
            if isinstance(error, KeyboardInterrupt) or (
                isinstance(error, SystemExit) and interrupted
            ):
                raise SystemExit(130) from error
            if isinstance(error, MisconfigurationException):
                raise _one_sentence(error) from error
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise InputError(
                    f"{error.filename or 'The disk'}: cannot write: {error.strerror}; the "
                    "checkpoints written before are whole: make room and go on with --resume auto."
                ) from error
            raise


class _Check(TrainerCLI):
    """Parses, and nothing else."""

    def _set_seed(self) -> None:
        pass

    def before_instantiate_classes(self) -> None:
        pass

    def instantiate_classes(self) -> None:
        pass

    def _run_subcommand(self, subcommand: str) -> None:
        pass


def check_arguments(arguments: list[str]) -> None:
    """Raise an `InputError` if the command line does not know an argument or its type is wrong.

    Nothing is built or written; takes a second or so.

    Args:
        arguments: The verb and its options.
    """
    _Check(arguments)


def _check_training_state(checkpoint: dict[str, Any], path: str) -> None:
    """Raise an `InputError` if training cannot go on from a checkpoint."""
    missing = [k for k in ("loops", "optimizer_states", "lr_schedulers") if k not in checkpoint]
    if missing:
        raise InputError(
            f"{path}: holds no state of a training to go on with ({missing[0]} is missing): give a "
            "checkpoint that `facemask fit` wrote with save_weights_only=false."
        )


def _epochs(checkpoint: dict[str, Any]) -> int:
    """Number of epochs that a checkpoint's run has done."""
    return int(checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])


def _is_finished(checkpoint: dict[str, Any], trainer: Trainer) -> bool:
    """Whether nothing is left of a checkpoint's run."""
    states = checkpoint.get("callbacks", {}).values()
    # an EarlyStopping's, whatever its subclass is called
    stopped = any(isinstance(s, dict) and s.get("stopped_epoch", 0) > 0 for s in states)
    limit = trainer.max_epochs
    if limit is None and trainer.max_steps == -1:
        limit = 1000  # Lightning's default
    by_epochs = limit not in (None, -1) and _epochs(checkpoint) >= limit
    by_steps = trainer.max_steps != -1 and checkpoint["global_step"] >= trainer.max_steps
    return stopped or by_epochs or by_steps


def _checkpoint_folders(trainer: Trainer) -> list[Path]:
    """The local folders that the trainer's `ModelCheckpoint` callbacks name."""
    given = [str(c.dirpath) for c in model_checkpoints(trainer) if c.dirpath]
    return [Path(folder).resolve() for folder in given if "://" not in folder]


def _check_writable(folder: Path) -> None:
    make_folder(folder)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"0")
    except OSError as error:
        raise InputError(
            f"{folder}: cannot write there: {error.strerror}; give another folder."
        ) from error


def _check_devices(accelerator: object, devices: object) -> None:
    """Raise an `InputError` if there are fewer GPUs than asked for."""
    count = torch.cuda.device_count()
    asked = accelerator in ("gpu", "cuda")
    if asked and count == 0 and not (accelerator == "gpu" and torch.backends.mps.is_available()):
        raise InputError(
            f"trainer.accelerator is {accelerator!r}, but torch finds no GPU here: give cpu, or "
            "install a torch for the GPU."
        )
    number = int(str(devices)) if str(devices).isdigit() else 0
    if (asked or accelerator == "auto") and count and number > count:
        raise InputError(
            f"trainer.devices is {number}, but this machine has {count} GPUs: give {count} or less."
        )


def _one_sentence(error: Exception) -> InputError:
    return InputError(" ".join(str(error).split()))


def _quieten_lightning() -> None:
    """Drop remarks that say nothing about the user's run."""
    for message in (
        r".*module\(s\) in eval mode at the start of training.*",  # freeze_bn means it
        r".*Checkpoint directory .* exists and is not empty.*",  # config.yaml lies there
        r".*Experiment logs directory .* exists and is not empty.*",  # see _keep_metrics
        r".*is smaller than the logging interval.*",  # losses are logged by epoch too
        r".*recommended to use `self.log\('(train|val|test)/.*sync_dist=True.*",  # they are synced
        r".*LightningCLI's args parameter is intended.*",  # `facemask experiment` means it
        r".*dataloader is not resumable.*",  # it is: see FaceMaskDataModule.state_dict
        r".*`isinstance\(treespec, LeafSpec\)` is deprecated.*",
    ):
        warnings.filterwarnings("ignore", message=message)
    logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(
        lambda record: "litlogger" not in record.getMessage()  # an advertisement
    )
