"""Places of an experiment, and each step's configuration."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from facemask.configuration import as_list, in_full, merge, read_configuration
from facemask.errors import InputError
from facemask.experiment.plan import Plan


@dataclass(frozen=True)
class Job:
    """Places and settings of one run of an experiment.

    Attributes:
        plan: What to do.
        base: Folder of the plan's file, which its configurations are relative to.
        data: The data set's folder.
        out: Folder of everything that is written.
        fast: Whether to take the fast configurations.
        seed: Seed of training and of the order of data.
        logging: YAML file that is laid over each training's configuration, such as one of
            configs/logging; None for CSV files alone.
    """

    plan: Plan
    base: Path
    data: Path
    out: Path
    fast: bool
    seed: int
    logging: Path | None = None

    def folder(self, step: str) -> Path:
        """A step's checkpoints, metrics and record."""
        return self.out / "runs" / step

    def best(self, step: str) -> Path:
        """The checkpoint that a step is tested with and others start from."""
        asked = self.plan.steps[step]
        if asked.weights_of is None or asked.calibrated:
            return self.folder(step) / "best.ckpt"
        return self.source(step)

    def source(self, step: str) -> Path:
        """The checkpoint of another step that a step tests, or calibrates first.

        Raises:
            ValueError: It has none.
        """
        asked = self.plan.steps[step]
        if asked.weights_of is None:
            raise ValueError(f"step {step} tests no other step's checkpoint")
        return (
            self.folder(asked.weights_of) / "last.ckpt"
            if asked.last
            else self.best(asked.weights_of)
        )

    def config(self, name: str, stage: str) -> dict[str, Any]:
        """The configuration of a step for `facemask fit` or `facemask test`.

        Raises:
            InputError: The YAML file is missing or damaged.
        """
        step = self.plan.steps[name]
        files = self.plan.configs[step.config]
        config = _read_yaml(
            self.base / (files.fast if self.fast else files.full), {"model", "data", "trainer"}
        )
        config = merge(config, step.options)
        if self.fast:
            config = merge(config, step.fast)
        if stage == "test":
            config = merge(config, step.test)
        elif self.logging is not None:
            config = merge(config, _read_yaml(self.logging, {"trainer"}))
        config = dict(in_full(config))
        model, data = config["model"]["init_args"], config["data"]["init_args"]
        config["seed_everything"] = data["seed"] = self.seed
        data["root"] = str(self.data)
        if step.init_from:
            model["init_from"] = str(self.best(step.init_from))
        if isinstance(cache := model.get("feature_cache"), str):
            model["feature_cache"] = str(self.out / cache)  # steps from one FCN share it
        if isinstance(save := model.get("save"), str):
            model["save"] = str(self.out / save)
        model |= {part: str(self.best(needed)) for part, needed in step.networks.items()}
        trainer, folder = config["trainer"], self.folder(name)
        for logger in filter(_is_class, as_list(trainer.get("logger"))):
            logger["init_args"] |= {"save_dir": str(folder.parent), "name": name}
        for callback in filter(_is_class, as_list(trainer.get("callbacks"))):
            if "dirpath" in callback.get("init_args", {}):
                callback["init_args"]["dirpath"] = str(folder)
        return config


def _is_class(entry: object) -> bool:
    return isinstance(entry, dict)  # a logger may be true or false


def _read_yaml(path: Path, expected: set[str]) -> dict[str, Any]:
    try:
        config = read_configuration(path)
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot read the configuration: {error}.") from error
    if not isinstance(config, dict) or not expected <= config.keys():
        raise InputError(f"{path}: expected a configuration with {', '.join(sorted(expected))}.")
    return config
