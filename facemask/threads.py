"""Threads that share a machine well: as many as cores are free, asleep while they wait.

OpenMP, with which torch computes, takes every core of the machine's, and lets threads that wait
for each other spin. Beside another busy process they spin for one that does not run, and both
lose. `let_waiting_threads_sleep` and `limit_threads` are for programs; importing facemask changes
nothing, as the process may be somebody else's.
"""

import logging
import os
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final

_GIVEN: Final = ("MKL_NUM_THREADS", "OMP_NUM_THREADS")
"""Variables with which users say how many threads they want; torch heeds the first that is set."""


_logger: Final = logging.getLogger(__name__)


def let_waiting_threads_sleep(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let OpenMP's threads sleep while they wait, here and in processes begun from here.

    Does nothing where the user has set OMP_WAIT_POLICY; GOMP_SPINCOUNT (GNU's OpenMP) and
    KMP_BLOCKTIME (LLVM's and Intel's) have the last word anyway. OpenMP reads them when it is
    loaded, so this must be called before anything imports torch.
    """
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@dataclass(frozen=True)
class Cores:
    """Cores that a process may use.

    Attributes:
        count: Number of them, at least 1.
        machine: Number of all there are.
        why: Reason why they are fewer than all; empty if they are not.
    """

    count: int
    machine: int
    why: str = ""

    def __str__(self) -> str:
        """Return it in words."""
        because = f": {self.why}" if self.why else ""
        are = "is" if self.count == 1 else "are"
        return f"{self.count} of {self.machine} cores {are} free to this process{because}"


@dataclass(frozen=True)
class Threads:
    """Threads that a process computes with.

    Attributes:
        count: Number of them, at least 1.
        cores: Cores that are free to it.
        why: Reason for another number than that of the cores; empty if there is none.
    """

    count: int
    cores: Cores
    why: str = ""

    def __str__(self) -> str:
        """Return it in words, as `--verbose` says it."""
        because = f", {self.why}" if self.why else ""
        return f"{self.count} thread{'s' * (self.count > 1)}{because} ({self.cores})"


def free_cores(
    environment: Mapping[str, str] = os.environ,
    *,
    root: Path = Path("/"),
    affinity: int | None = None,
    machine: int | None = None,
) -> Cores:
    """Return the cores that are free to this process.

    They are those that the system lets it run on, within the CPU quota of its control groups and
    SLURM's share of a task, divided by the processes that torchrun has started on this machine.
    Parts of a core are left to threads that read and write.

    Args:
        environment: Variables of the process.
        root: Folder in which `proc` and `sys` are looked for.
        affinity: Cores that the system lets it run on; None asks the system.
        machine: All cores; None asks the system.
    """
    machine = machine or os.cpu_count() or 1
    limits: list[tuple[float, str]] = [(affinity or _affinity(), "it may run on no others")]
    if (quota := _quota(root)) is not None:
        limits.append((quota, f"its control group has a CPU quota of {quota:g}"))
    if task := _number(environment, "SLURM_CPUS_PER_TASK"):
        limits.append((task, f"SLURM_CPUS_PER_TASK is {task}"))
    free, why = min(limits, key=lambda limit: limit[0])
    count = max(1, int(free))
    reasons = [why] if count < machine else []
    if (processes := _number(environment, "LOCAL_WORLD_SIZE") or 1) > 1:
        count = max(1, count // processes)
        reasons.append(f"it is one of {processes}")
    return Cores(count, machine, ", and ".join(reasons))


def choose_threads(
    cores: Cores,
    environment: Mapping[str, str] = os.environ,
    *,
    others: int = 0,
    processes: int = 1,
) -> Threads:
    """Return how many threads a process should compute with.

    Args:
        cores: Cores that are free to it.
        environment: Its variables; a number of threads that the user has set there wins.
        others: Loaders that work beside it, with a thread each. Two of them leave it one core less,
            as they wait for it most of the time, and half of the cores are its own anyway.
        processes: Processes that share the cores evenly.
    """
    for name in _GIVEN:
        if given := _number(environment, name):
            return Threads(given, cores, f"as {name} says")
    count = max(1, cores.count // processes)
    if processes > 1:
        return Threads(count, cores, f"as {processes} processes share the cores")
    if left := min(others, count) // 2:
        return Threads(count - left, cores, f"as {left} {'is' if left == 1 else 'are'} for loaders")
    return Threads(count, cores)


def codec_threads() -> int:
    """Return how many threads a decoder or an encoder should have, 1 to 16, as in FFmpeg.

    FFmpeg's own choice heeds neither a CPU quota nor that there are other processes like this one.
    """
    return min(16, choose_threads(free_cores()).count)


def limit_threads(*, others: int = 0, processes: int = 1) -> Threads:
    """Let torch and OpenCV, where imported, take no more threads than `choose_threads` says.

    What computes with fewer keeps them. For torch's convolutions this holds in the calling thread
    alone: in other threads of Python call `torch.set_num_threads` once more.

    Args:
        others: See `choose_threads`.
        processes: See `choose_threads`.

    Returns:
        The threads that torch has now; those chosen where it is not imported.
    """
    threads = choose_threads(free_cores(), others=others, processes=processes)
    if torch := sys.modules.get("torch"):
        if torch.get_num_threads() > threads.count:
            torch.set_num_threads(threads.count)
        threads = replace(threads, count=torch.get_num_threads())
    if (cv2 := sys.modules.get("cv2")) and cv2.getNumThreads() > threads.count:
        cv2.setNumThreads(threads.count)
    _logger.info("%s", threads)
    return threads


def limit_this_thread() -> None:
    """Let torch, where imported, compute in this thread with as many threads as elsewhere.

    OpenMP keeps the number apart for each thread of the program, and in a new one convolutions
    would take all cores, whatever `torch.set_num_threads` was told in another.
    """
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(torch.get_num_threads())


def _affinity() -> int:
    """Return the number of cores that the system lets this process run on."""
    if sys.version_info >= (3, 13):
        return os.process_cpu_count() or 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _number(environment: Mapping[str, str], name: str) -> int | None:
    """Return a positive number that a variable holds, or begins with as in "4,2"."""
    first = environment.get(name, "").partition(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) > 0 else None


def _quota(root: Path) -> float | None:
    """Return the cores' worth of time that control groups leave this process; None without limit.

    A group has no more than any of those around it. Inside a container `proc` may name a path of
    the world outside, of which only the last folder is there: as the root of all groups.
    """
    try:
        groups = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return None
    quotas: list[float] = []
    for group in groups:
        _, controllers, path = group.split(":", 2)
        if not controllers:
            place, files = root / "sys/fs/cgroup", ["cpu.max"]  # version 2
        elif "cpu" in controllers.split(","):
            place, files = root / "sys/fs/cgroup/cpu", ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
        else:
            continue
        inside = [part for part in PurePosixPath(path).parts[1:] if part != ".."]
        for depth in range(len(inside) + 1):
            folder = place.joinpath(*inside[:depth])
            with suppress(OSError, ValueError):
                quota, period = " ".join((folder / file).read_text() for file in files).split()
                if quota.isdecimal():  # neither "max" nor -1
                    quotas.append(int(quota) / int(period))
    return min(quotas, default=None)
