"""Progress bars that also tell how things go where there is no terminal."""

import time
from typing import Any, Final

from rich.console import Console
from rich.progress import Progress, ProgressColumn, TaskID

_SECONDS: Final = 10.0
"""Time between two lines about a task."""


class Bars(Progress):
    """Bars on a terminal; elsewhere, as in a pipe or a log, a line for each task every 10 seconds.

    Args:
        columns: As `rich.progress.Progress` takes them.
        console: Where they go.
        transient: Whether bars vanish when they are done.
    """

    def __init__(
        self, *columns: str | ProgressColumn, console: Console, transient: bool = False
    ) -> None:
        super().__init__(
            *columns, console=console, transient=transient, disable=not console.is_terminal
        )
        self._last: dict[TaskID, float] = {}
        self._began = time.monotonic()

    def update(self, task_id: TaskID, **changes: Any) -> None:  # noqa: ANN401  # rich's
        """Update a task, and tell how far it is."""
        super().update(task_id, **changes)
        self._tell(task_id)

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """Advance a task, and tell how far it is."""
        super().advance(task_id, advance)
        self._tell(task_id)

    def _tell(self, task_id: TaskID) -> None:
        now = time.monotonic()
        if self.console.is_terminal or now - self._last.get(task_id, self._began) < _SECONDS:
            return
        self._last[task_id] = now
        task = next(task for task in self.tasks if task.id == task_id)
        of = "" if task.total is None else f" of {task.total:.0f}"
        extra = "".join(f", {value}" for value in task.fields.values() if value)
        self.console.print(
            f"{task.description}: {task.completed:.0f}{of}{extra}", markup=False, highlight=False
        )
