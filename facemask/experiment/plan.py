"""Plan of an experiment: the steps that it trains and tests, and its tables, from YAML."""

from collections.abc import Collection
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from facemask.errors import InputError


class _Part(BaseModel):
    """Checks keys and types."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Configs(_Part):
    """The YAML files of one kind of step, relative to the experiment's file.

    Attributes:
        full: The paper's settings.
        fast: Those of `--fast`.
    """

    full: str
    fast: str


class Step(_Part):
    """One model: trained unless it takes weights, and tested.

    Attributes:
        config: Name of its configuration, one of the plan's `configs`.
        options: What differs from it, merged over it; a mapping with a `class_path` replaces one.
        fast: What differs further under `--fast`.
        test: What differs further when it is tested.
        init_from: The step whose best checkpoint training starts from.
        weights_of: The step whose best checkpoint is tested; then nothing is trained.
        last: Whether the last checkpoint of that step is tested in place of its best one.
        calibrated: Whether that checkpoint is calibrated first (`facemask calibrate`).
        networks: For a cascade, the steps of its networks: primary, eyes and mouth.
        weightless: Whether the model has no weights, as the face tracker: it is only tested.
    """

    config: str
    options: dict[str, Any] = {}
    fast: dict[str, Any] = {}
    test: dict[str, Any] = {}
    init_from: str | None = None
    weights_of: str | None = None
    last: bool = False
    calibrated: bool = False
    networks: dict[Literal["primary", "eyes", "mouth"], str] = {}
    weightless: bool = False

    @property
    def needs(self) -> set[str]:
        """The steps whose checkpoints it takes."""
        return {name for name in (self.init_from, self.weights_of, *self.networks.values()) if name}

    @property
    def trains(self) -> bool:
        """Return whether something is trained, not only tested."""
        return self.weights_of is None and not self.networks and not self.weightless


class Row(_Part):
    """A row of a table.

    Attributes:
        name: What the table calls it.
        step: The step that was tested.
        paper: The paper's values, in the order of the table's columns; may be empty.
    """

    name: str
    step: str
    paper: list[float] = []


class PaperTable(_Part):
    """A table of the paper.

    Attributes:
        name: Such as "Table 5".
        title: What it compares.
        baseline: The step that the rows are compared with.
        columns: Names of the columns of `Row.paper`.
        rows: The rows.
        positions: Whether it shows the improvement by position in the clip (Table 4), not IoU.
    """

    name: str
    title: str
    baseline: str
    columns: list[str]
    rows: list[Row]
    positions: bool = False


class Plan(_Part):
    """An experiment.

    Attributes:
        title: The report's heading.
        configs: Configurations by name.
        steps: Models by name.
        tables: What the report shows.
    """

    title: str
    configs: dict[str, Configs]
    steps: dict[str, Step]
    tables: list[PaperTable]


def read_plan(path: Path) -> Plan:
    """Read an experiment's YAML and check that its parts fit together.

    Raises:
        InputError: The file is missing or damaged, a key or type is wrong, a name is unknown, or
            steps need each other in a circle.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        plan = Plan.model_validate(content)
    except OSError as error:
        raise InputError(f"{path}: cannot read the experiment: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(key) for key in first["loc"]) or "the file"
        unknown = first["type"] == "extra_forbidden"
        what = "there is no such key" if unknown else first["msg"].lower()
        raise InputError(f"{path}: not an experiment: {where}: {what}.") from error
    _check(plan, path)
    return plan


def _check(plan: Plan, path: Path) -> None:
    for name, step in plan.steps.items():
        _known(step.config, plan.configs, f"{path}: step {name!r}", "configuration")
        for needed in sorted(step.needs):
            _known(needed, plan.steps, f"{path}: step {name!r}", "step")
        for option, wanted in (("calibrated", step.calibrated), ("last", step.last)):
            if wanted and step.weights_of is None:
                raise InputError(
                    f"{path}: step {name!r} has {option}, but no weights_of: name the step whose "
                    "checkpoint is meant."
                )
    for table in plan.tables:
        for step_name in (table.baseline, *(row.step for row in table.rows)):
            _known(step_name, plan.steps, f"{path}: {table.name}", "step")
        for row in table.rows:
            if row.paper and len(row.paper) != len(table.columns):
                raise InputError(
                    f"{path}: {table.name}: row {row.name!r} has {len(row.paper)} values of the "
                    f"paper for {len(table.columns)} columns: give one a column."
                )
    try:
        TopologicalSorter({name: step.needs for name, step in plan.steps.items()}).prepare()
    except CycleError as error:
        circle = " → ".join(reversed(error.args[1]))
        raise InputError(f"{path}: steps need each other in a circle: {circle}.") from error


def _known(name: str, names: Collection[str], where: str, what: str) -> None:
    if name not in names:
        raise InputError(f"{where}: there is no {what} {name!r}; the names are {', '.join(names)}.")


def chosen_steps(plan: Plan, only: Collection[str] | None) -> list[str]:
    """The steps to do, with all that they need.

    Args:
        plan: The experiment.
        only: Names of tables, of rows as "Table 5: IoU loss", and of steps; None is everything.

    Raises:
        InputError: A name is none of these.
    """
    if only is None:
        return list(plan.steps)
    groups: dict[str, set[str]] = {name: {name} for name in plan.steps}
    for table in plan.tables:
        groups[table.name] = {table.baseline, *(row.step for row in table.rows)}
        groups |= {f"{table.name}: {row.name}": {table.baseline, row.step} for row in table.rows}
    todo: list[str] = []
    for name in only:
        if name not in groups:
            tables = ", ".join(table.name for table in plan.tables)
            raise InputError(
                f"only: there is no table, row or step {name!r}: the tables are {tables}, a row is "
                f"'TABLE: ROW', and the steps are {', '.join(plan.steps)}."
            )
        todo += groups[name]
    wanted: set[str] = set()
    while todo:
        step = todo.pop()
        if step not in wanted:
            wanted.add(step)
            todo += plan.steps[step].needs
    return [name for name in plan.steps if name in wanted]
