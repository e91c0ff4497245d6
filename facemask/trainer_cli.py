"""`facemask fit|validate|test|predict`: LightningCLI with our defaults."""

import logging
import warnings
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI

from facemask import __version__
from facemask.callbacks import LabelWriter
from facemask.cli import VERBS, first_line, verb_parser
from facemask.data.datamodule import FaceMaskDataModule
from facemask.errors import InputError
from facemask.models.checkpoints import read_checkpoint
from facemask.models.mask_module import MaskModule
from facemask.records.recorder import FrameRecorder


class TrainerCLI(LightningCLI):
    """LightningCLI for any `MaskModule` and `FaceMaskDataModule`, by class path in YAML."""

    def __init__(self, arguments: list[str] | None) -> None:
        """Parse and run.

        Args:
            arguments: The verb and its options; None takes those of the process.
        """
        _quieten_lightning()
        super().__init__(
            MaskModule,
            FaceMaskDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            seed_everything_default=0,
            save_config_kwargs={"overwrite": True},
            parser_kwargs={
                "prog": "facemask",
                "version": __version__,
                "description": "Dense face masks from video.",
            },
            args=arguments,
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
        subcommands = parser._subcommands_action
        assert subcommands is not None  # made by the line above
        for verb, function in VERBS.items():  # for --help; main() runs them without coming here
            subcommands.add_subcommand(verb, verb_parser(verb), help=first_line(function()))

    def _parse_ckpt_path(self) -> None:
        """Keep the configuration given; Lightning's lets the checkpoint override it silently."""

    def before_instantiate_classes(self) -> None:
        """Check the checkpoint early, and keep what training wrote.

        Raises:
            InputError: The checkpoint is missing or cannot be read.
        """
        config = self.config[self.subcommand]
        path = config.get("ckpt_path")
        if path and path not in ("best", "last", "hpc"):
            read_checkpoint(Path(path))
        cascade = str(config.model.class_path).endswith(".CascadeModule")  # it has its weights
        if self.subcommand != "fit" and not path and not cascade:
            raise InputError(
                f"`facemask {self.subcommand}` needs trained weights: give --ckpt_path FILE."
            )
        if config.trainer.fast_dev_run:
            return  # logs nothing
        loggers = config.trainer.logger
        for logger in loggers if isinstance(loggers, list) else [loggers]:
            if isinstance(logger, Namespace) and logger.class_path.endswith(".CSVLogger"):
                self._keep_metrics(logger.init_args)

    def _keep_metrics(self, logger: Namespace) -> None:
        """Keep `metrics.csv` of earlier runs: CSVLogger deletes what it finds in its folder."""
        if self.subcommand != "fit":
            logger.version = self.subcommand  # a folder of its own inside that of the training
            return
        if not logger.save_dir or not isinstance(logger.version, str):
            return  # Lightning counts versions up: nothing is there yet
        metrics = Path(logger.save_dir, logger.name or "", logger.version, "metrics.csv")
        if metrics.is_file():
            earlier = len(list(metrics.parent.glob("metrics.*.csv"))) + 1
            metrics.replace(metrics.with_suffix(f".{earlier}.csv"))


def _quieten_lightning() -> None:
    """Drop remarks that say nothing about the user's run."""
    for message in (
        r".*module\(s\) in eval mode at the start of training.*",  # freeze_bn means it
        r".*Checkpoint directory .* exists and is not empty.*",  # config.yaml lies there
        r".*Experiment logs directory .* exists and is not empty.*",  # see _keep_metrics
        r".*is smaller than the logging interval.*",  # losses are logged by epoch too
        r".*`isinstance\(treespec, LeafSpec\)` is deprecated.*",
    ):
        warnings.filterwarnings("ignore", message=message)
    logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(
        lambda record: "litlogger" not in record.getMessage()  # an advertisement
    )
