"""WandbLogger that checks, before anything is computed, that it can log."""

import inspect
import os
import warnings
from pathlib import Path
from typing import Any, Literal

from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from facemask.errors import InputError
from facemask.files import make_folder


class CheckedWandbLogger(WandbLogger):
    """Lightning's WandbLogger; a missing login is one sentence.

    The check is made when the run begins, by the first process alone, and only where the run is
    to be online. A run whose id W&B knows already is continued (`resume="allow"`).

    Args:
        project: The W&B project.
        entity: The W&B user or team; null is the login's default.
        name: The run's name; null lets W&B make one up.
        id: The run's id; null begins a new run.
        group: Runs of one group are shown together.
        tags: Words to find the run by.
        notes: Text shown with the run.
        mode: Null is what the environment variable WANDB_MODE or `wandb offline` says, else
            online.
        save_dir: W&B keeps its files in the folder `wandb` in there.
        log_model: Upload the best checkpoint when training ends, or "all" of them.
    """

    def __init__(
        self,
        project: str = "facemask",
        entity: str | None = None,
        name: str | None = None,
        id: str | None = None,  # noqa: A002  # as wandb.init calls it
        group: str | None = None,
        tags: list[str] | None = None,
        notes: str | None = None,
        mode: Literal["online", "offline", "disabled"] | None = None,
        save_dir: str = "runs",
        log_model: Literal["all"] | bool = False,
    ) -> None:
        # absolute: W&B's own process, which writes the files, may have begun in another folder
        folder = str(Path(save_dir).absolute())
        super().__init__(name=name, save_dir=folder, id=id, project=project, log_model=log_model)
        self._run: dict[str, Any] = {
            "project": project, "entity": entity, "name": name, "id": id, "group": group,
            "tags": tags, "notes": notes, "mode": mode, "dir": folder, "resume": "allow",
        }  # fmt: skip
        self._is_begun = False

    @property
    def experiment(self) -> Any:  # noqa: ANN401  # wandb's Run, or Lightning's dummy
        """The W&B run, begun at the first use.

        Raises:
            InputError: `save_dir` cannot be written to, there is no login for an online run, or
                the server cannot be reached.
        """
        if self._is_begun or getattr(rank_zero_only, "rank", 0) != 0:
            return super().experiment
        import wandb

        if wandb.run is not None:  # begun by the user
            self._is_begun = True
            return super().experiment
        mode = self._run["mode"]
        check_login(mode)
        if mode != "disabled":  # wandb would take a temporary folder
            make_folder(Path(self._run["dir"]))
        try:
            wandb.init(**self._run)
        except (wandb.errors.CommError, wandb.errors.AuthenticationError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise InputError(
                f"W&B cannot begin the run: {reason.rstrip('.')}; check network and login, or "
                "train with WANDB_MODE=offline and run `wandb sync` later."
            ) from error
        self._is_begun = True
        with warnings.catch_warnings():  # Lightning takes the run that is there, and says so
            warnings.filterwarnings("ignore", "There is a wandb run already in progress")
            return super().experiment


def check_login(mode: str | None = None) -> None:
    """Check that W&B has an API key; it is not sent anywhere.

    Args:
        mode: The run's mode; None is that of the environment. Only "online" needs a login.

    Raises:
        InputError: The run is to be online and there is no key, or it is malformed.
    """
    import wandb

    mode = mode or os.environ.get("WANDB_MODE") or str(wandb.setup().settings.mode)
    if mode in ("offline", "dryrun", "disabled"):
        return
    # older releases ask on the terminal
    silent = "prompt" in inspect.signature(wandb.login).parameters
    options: dict[str, Any] = {"prompt": False} if silent else {}
    try:
        found, problem = wandb.login(verify=False, **options), "no API key is configured"
    except (wandb.errors.UsageError, wandb.errors.AuthenticationError) as error:
        found, problem = False, str(error).partition("\n")[0].rstrip(".")
    if not found:
        raise InputError(
            f"W&B cannot log online: {problem}; run `wandb login`, set WANDB_API_KEY, or train "
            "with WANDB_MODE=offline (or disabled)."
        )
