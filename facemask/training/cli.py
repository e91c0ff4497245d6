"""`facemask fit|validate|test|predict`: LightningCLI with our defaults."""

import contextlib
import errno
import logging
import re
import subprocess
import warnings
from argparse import HelpFormatter
from itertools import pairwise
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Literal

import torch
from jsonargparse import SUPPRESS, Namespace
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import Trainer
from pytorch_lightning.cli import ArgsType, LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.plugins.io import CheckpointIO

from facemask import configuration
from facemask.checkpoints import read_checkpoint
from facemask.data.datamodule import FaceMaskDataModule
from facemask.errors import INTERRUPTED, InputError
from facemask.parser_errors import SentenceParser
from facemask.report.recorder import FrameRecorder
from facemask.threads import limit_threads
from facemask.training import TRAINER_VERBS
from facemask.training.callbacks import LabelWriter, TrainingGuard
from facemask.training.checkpointing import AtomicCheckpointIO, ResumableRun
from facemask.training.metrics_file import csv_loggers, set_metrics_aside
from facemask.training.modules import FCNModule
from facemask.training.own_config import with_own_config
from facemask.training.resume import (
    check_training_state,
    checkpoint_folders,
    find_last,
    remove_unfinished,
)
from facemask.training.room import check_room
from facemask.training.scored_module import ScoredModule
from facemask.verbosity import VERBOSE, choices_told


class _Parser(SentenceParser, LightningArgumentParser):
    """Lightning's parser, whose errors are one sentence."""

    def format_help(self, formatter: HelpFormatter | None = None) -> str:
        """Return the help without the lists of all of torch's modules or callbacks."""
        return re.sub(r",\s+known\s+subclasses:[^)]{500,}\)", ")", super().format_help(formatter))


class TrainerCLI(LightningCLI):
    """LightningCLI of one verb, for any `ScoredModule` and `FaceMaskDataModule` by class path."""

    def __init__(self, verb: str, options: list[str]) -> None:
        """Parse, and build model, data and trainer.

        Args:
            verb: fit, validate, test or predict.
            options: The words after it on the command line.
        """
        _quieten_lightning()
        self.verb = verb
        words = configuration.expand_words(options if verb == "fit" else with_own_config(options))
        is_help = not {"-h", "--help"}.isdisjoint(words)
        # parsing takes any model, the help lists the options of one
        self.listed = _listed_model(words) if is_help else ScoredModule
        super().__init__(
            self.listed,
            FaceMaskDataModule,
            subclass_mode_model=not is_help,
            subclass_mode_data=not is_help,
            auto_configure_optimizers=False,
            seed_everything_default=0,
            save_config_kwargs={"overwrite": True},
            parser_class=_Parser,
            parser_kwargs={
                "prog": f"facemask {verb}",
                "parser_mode": configuration.parser_mode(),
                "description": f"{TRAINER_VERBS[verb]} Of models, {self.listed.__name__}'s options "
                "are listed; with -c FILE --help those of the file's model.",
            },
            args=["--help"] if is_help else words,
            run=False,  # its own verbs would let a checkpoint override the configuration silently
        )

    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add all options as the help shall list them: the verb's and ours, then the trainer's."""
        skip = LightningCLI.subcommands()[self.verb] | {"weights_only", "verbose"}  # both are ours
        self.verb_options = parser.add_method_arguments(Trainer, self.verb, skip=skip)
        parser.add_argument(
            "--resume",
            type=Literal["auto"] | None,
            default=None,
            help="auto: go on from the newest last.ckpt of the ModelCheckpoint's dirpath, if any."
            if self.verb == "fit"
            else SUPPRESS,  # stands in the config.yaml of a training, which other verbs read, too
        )
        parser.add_argument("--verbose", action="store_true", help=VERBOSE)
        any_class = self.subclass_mode_model
        parser.add_lightning_class_args(FaceMaskDataModule, "data", subclass_mode=any_class)
        parser.add_lightning_class_args(self.listed, "model", subclass_mode=any_class)
        parser.add_lightning_class_args(LabelWriter, "predictions")
        parser.add_lightning_class_args(FrameRecorder, "record")
        parser.add_lightning_class_args(Trainer, "trainer")
        # the loaders share whole batches out themselves; Lightning would repeat samples
        parser.set_defaults({"trainer.use_distributed_sampler": False})

    def before_instantiate_classes(self) -> None:
        """Check the checkpoint and the devices early.

        Raises:
            InputError: The checkpoint is missing or cannot be read, options contradict each
                other, or there are fewer devices than asked for.
        """
        config = self.config
        path = config.get("ckpt_path")
        if self.verb == "fit" and path and config.get("resume"):
            raise InputError(
                f"--resume auto and --ckpt_path {path} are both given: give --resume auto to look "
                "for the checkpoint, or --ckpt_path to name it."
            )
        if path and path not in ("best", "last", "hpc"):
            checkpoint = read_checkpoint(Path(path))
            if self.verb == "fit":
                check_training_state(checkpoint, path)
        kind: type[ScoredModule] = resolve_name(config.model.class_path)
        if self.verb != "fit" and not path and kind.needs_checkpoint:
            raise InputError(
                f"`facemask {self.verb}` needs trained weights: give --ckpt_path FILE."
            )
        _check_devices(config.trainer.accelerator, config.trainer.devices)
        if self.verb != "fit":  # a folder of its own inside that of the training
            loggers = config.trainer.logger
            for logger in loggers if isinstance(loggers, list) else [loggers]:
                if not isinstance(logger, Namespace) or "version" not in logger.init_args:
                    continue
                if issubclass(resolve_name(logger.class_path), CSVLogger):
                    logger.init_args.version = self.verb

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:  # noqa: ANN401
        """The trainer, with what makes its runs resumable.

        Raises:
            InputError: Lightning refuses the options.
        """
        config = self.config_init["trainer"]
        plugins = config["plugins"] or []
        plugins = list(plugins) if isinstance(plugins, list) else [plugins]
        if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            plugins.append(AtomicCheckpointIO(type(self.model), type(self.datamodule)))
        if self.verb == "fit":
            given = config["callbacks"] or []
            given = given if isinstance(given, list) else [given]
            config["callbacks"] = [ResumableRun(), TrainingGuard(), *given]
        try:
            return super().instantiate_trainer(**{"plugins": plugins} | kwargs)
        except MisconfigurationException as error:
            raise _one_sentence(error) from error

    def run(self) -> None:
        """Do what the verb says.

        Raises:
            InputError: Lightning refuses the options, there are no data or no checkpoint to go on
                from, or a folder cannot be written to or has too little space.
            SystemExit: The run that `--resume auto` found is finished (0), or Ctrl-C came (130).
        """
        options = {name: self.config_init[name] for name in self.verb_options}
        if self.trainer.num_devices == 1:  # Lightning, or torchrun, shares the cores of several
            with choices_told(self.config_init["verbose"]):
                limit_threads(others=self.datamodule.num_workers)
        try:
            if self.verb == "fit" and not self.trainer.fast_dev_run:  # type: ignore[attr-defined]
                options["ckpt_path"] = self._prepare_fit()
            verb = getattr(self.trainer, self.verb)
            verb(self.model, datamodule=self.datamodule, weights_only=True, **options)
        except BaseException as error:
            for process in getattr(self.trainer.strategy.launcher, "procs", []):
                if isinstance(process, subprocess.Popen):  # it would wait for this one
                    process.kill()
            interrupted = isinstance(error.__context__, KeyboardInterrupt)
            if isinstance(error, KeyboardInterrupt) or (
                isinstance(error, SystemExit) and interrupted
            ):
                raise SystemExit(INTERRUPTED) from error
            if isinstance(error, MisconfigurationException):
                raise _one_sentence(error) from error
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise InputError(
                    f"{error.filename or 'The disk'}: cannot write: {error.strerror}; the "
                    "checkpoints written before are whole: make room and go on with --resume auto."
                ) from error
            raise

    def _prepare_fit(self) -> str | None:
        """Return the checkpoint to go on from, if any; check where the run will write."""
        auto: bool = self.config_init["resume"] == "auto"
        path: str | None = self.config_init["ckpt_path"]
        folders = checkpoint_folders(self.trainer)
        if auto or path == "last":
            path = find_last(self.trainer, folders, auto=auto)
        if self.trainer.is_global_zero:
            for side in ("train", "val"):  # before anything is written
                self.datamodule.read(side)
            check_room(self.trainer, self.model, folders)
            for folder in folders:
                remove_unfinished(folder)
            same_run = path is not None and Path(path).resolve().parent in folders
            for logger in csv_loggers(self.trainer):
                set_metrics_aside(Path(logger.log_dir), same_run)
        return path


def _listed_model(words: list[str]) -> type[ScoredModule]:
    """Return the model that a command names, itself or in a file; the FCN if it names none."""
    name = ""
    with contextlib.suppress(Exception):  # what is wrong with them is told when they are parsed
        for option, value in pairwise(words):
            if option in ("-c", "--config"):
                name = configuration.read_configuration(Path(value))["model"]["class_path"]
        kind: type[ScoredModule] = resolve_name(name)
        if issubclass(kind, ScoredModule):
            return kind
    return FCNModule


class _ParsedError(Exception):
    """The command line was understood."""


class _Check(TrainerCLI):
    """Parses, and nothing else."""

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        super().parse_arguments(parser, args)
        raise _ParsedError


def run_trainer(arguments: list[str]) -> None:
    """Train, validate, test or predict; see `TrainerCLI.run`.

    Args:
        arguments: The verb and its options.
    """
    TrainerCLI(arguments[0], arguments[1:]).run()


def check_arguments(arguments: list[str]) -> None:
    """Raise an `InputError` if the command line does not know an argument or its type is wrong.

    Nothing is built or written; takes a second or so.

    Args:
        arguments: The verb and its options.
    """
    with contextlib.suppress(_ParsedError):
        _Check(arguments[0], arguments[1:])


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
