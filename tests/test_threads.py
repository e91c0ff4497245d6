"""Cores that are free to a process, threads that use them, and who has the last word."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from facemask.threads import (
    Cores,
    Threads,
    choose_threads,
    codec_threads,
    free_cores,
    let_waiting_threads_sleep,
)


def machine(root: Path, cgroup: str, files: dict[str, str] | None = None) -> Path:
    """Write what Linux says about control groups into a folder."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(cgroup)
    for name, text in (files or {}).items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


UNIFIED = "0::/jobs/mine\n"
SPLIT = "12:memory:/jobs/mine\n5:cpu,cpuacct:/jobs/mine\n1:name=systemd:/x\n0::/x\n"


@pytest.mark.parametrize(
    ("cgroup", "files", "count", "why"),
    [
        (UNIFIED, {"jobs/mine/cpu.max": "max 100000\n"}, 16, ""),
        (UNIFIED, {"jobs/mine/cpu.max": "300000 100000\n"}, 3, "a CPU quota of 3"),
        (UNIFIED, {"jobs/mine/cpu.max": "125000 50000\n"}, 2, "a CPU quota of 2.5"),
        (UNIFIED, {"jobs/mine/cpu.max": "20000 100000\n"}, 1, "a CPU quota of 0.2"),
        # the group around it has less
        (UNIFIED, {"jobs/mine/cpu.max": "700000 100000\n", "jobs/cpu.max": "400000 100000\n"}, 4,
         "a CPU quota of 4"),
        (UNIFIED, {"jobs/mine/cpu.max": "max 100000\n", "cpu.max": "500000 100000\n"}, 5,
         "a CPU quota of 5"),
        # in a container: of the path outside only the last folder is there, as the root
        (UNIFIED, {"cpu.max": "200000 100000\n"}, 2, "a CPU quota of 2"),
        ("0::/../../other\n", {"other/cpu.max": "200000 100000\n"}, 2, "a CPU quota of 2"),
        (SPLIT, {"cpu/jobs/mine/cpu.cfs_quota_us": "-1\n",
                 "cpu/jobs/mine/cpu.cfs_period_us": "100000\n"}, 16, ""),
        (SPLIT, {"cpu/jobs/mine/cpu.cfs_quota_us": "350000\n",
                 "cpu/jobs/mine/cpu.cfs_period_us": "50000\n"}, 7, "a CPU quota of 7"),
        (SPLIT, {"cpu/cpu.cfs_quota_us": "600000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 6,
         "a CPU quota of 6"),
        (SPLIT, {"memory/cpu.max": "100000 100000\n"}, 16, ""),
        (UNIFIED, {"jobs/mine/cpu.max": "what is this\n"}, 16, ""),
        (UNIFIED, {"jobs/mine/cpu.max": "9900000 100000\n"}, 16, ""),  # more than there are
    ],
)  # fmt: skip
def test_quota(tmp_path: Path, cgroup: str, files: dict[str, str], count: int, why: str) -> None:
    cores = free_cores({}, root=machine(tmp_path, cgroup, files), affinity=16, machine=16)
    assert (cores.count, cores.machine) == (count, 16)
    assert cores.why.endswith(why)
    assert bool(cores.why) == bool(why)


@pytest.mark.parametrize(
    ("environment", "affinity", "said"),
    [
        ({}, 8, "8 of 8 cores are free to this process"),
        ({}, 1, "1 of 8 cores is free to this process: it may run on no others"),
        ({"SLURM_CPUS_PER_TASK": "3"}, 8,
         "3 of 8 cores are free to this process: SLURM_CPUS_PER_TASK is 3"),
        ({"SLURM_CPUS_PER_TASK": "5"}, 2,
         "2 of 8 cores are free to this process: it may run on no others"),
        ({"SLURM_CPUS_PER_TASK": "many"}, 8, "8 of 8 cores are free to this process"),
        ({"LOCAL_WORLD_SIZE": "3"}, 8, "2 of 8 cores are free to this process: it is one of 3"),
        ({"LOCAL_WORLD_SIZE": "9"}, 8, "1 of 8 cores is free to this process: it is one of 9"),
        ({"LOCAL_WORLD_SIZE": "2", "SLURM_CPUS_PER_TASK": "6"}, 8,
         "3 of 8 cores are free to this process: SLURM_CPUS_PER_TASK is 6, and it is one of 2"),
    ],
)  # fmt: skip
def test_affinity_and_shares(
    tmp_path: Path, environment: dict[str, str], affinity: int, said: str
) -> None:
    assert str(free_cores(environment, root=tmp_path, affinity=affinity, machine=8)) == said


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux binds processes to cores")
def test_affinity_of_the_process() -> None:
    code = """
        import os
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        from facemask.threads import free_cores
        print(free_cores({}).count)
    """
    assert fresh(code) == "1"


CORES = Cores(8, 16, "it may run on no others")


@pytest.mark.parametrize(
    ("environment", "options", "count", "why"),
    [
        ({}, {}, 8, ""),
        ({"OMP_NUM_THREADS": "3"}, {}, 3, "as OMP_NUM_THREADS says"),
        ({"OMP_NUM_THREADS": "12,2"}, {}, 12, "as OMP_NUM_THREADS says"),
        ({"OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "2"}, {}, 2, "as MKL_NUM_THREADS says"),
        ({"OMP_NUM_THREADS": "0"}, {}, 8, ""),
        ({"OMP_NUM_THREADS": "-2"}, {}, 8, ""),
        ({"OMP_NUM_THREADS": "3"}, {"others": 4}, 3, "as OMP_NUM_THREADS says"),
        ({"OMP_NUM_THREADS": "3"}, {"processes": 4}, 3, "as OMP_NUM_THREADS says"),
        ({}, {"others": 1}, 8, ""),
        ({}, {"others": 3}, 7, "as 1 is for loaders"),
        ({}, {"others": 4}, 6, "as 2 are for loaders"),
        ({}, {"others": 20}, 4, "as 4 are for loaders"),  # half are its own
        ({}, {"processes": 3}, 2, "as 3 processes share the cores"),
        ({}, {"processes": 9}, 1, "as 9 processes share the cores"),
    ],
)
def test_threads(
    environment: dict[str, str], options: dict[str, int], count: int, why: str
) -> None:
    assert choose_threads(CORES, environment, **options) == Threads(count, CORES, why)


def test_threads_in_words() -> None:
    assert str(Threads(2, Cores(2, 2))) == "2 threads (2 of 2 cores are free to this process)"
    assert str(Threads(1, Cores(4, 4), "as OMP_NUM_THREADS says")) == (
        "1 thread, as OMP_NUM_THREADS says (4 of 4 cores are free to this process)"
    )


def test_one_core_and_loaders() -> None:
    assert choose_threads(Cores(1, 1), {}, others=4).count == 1


def fresh(code: str, **variables: str) -> str:
    """Run code in a new process, in which only these variables say something about threads."""
    ours = ("OMP_", "MKL_", "GOMP_", "KMP_", "SLURM_", "LOCAL_WORLD_SIZE")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)} | variables
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], env=environment, capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.parametrize(("given", "count"), [("3", 3), ("1", 1), ("40", 16)])
def test_codecs_have_no_more_threads(
    given: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    assert codec_threads() == count


def test_users_policy_wins() -> None:
    environment = {"OMP_WAIT_POLICY": "ACTIVE"}
    let_waiting_threads_sleep(environment)
    assert environment == {"OMP_WAIT_POLICY": "ACTIVE"}
    environment = {}
    let_waiting_threads_sleep(environment)
    assert environment == {"OMP_WAIT_POLICY": "PASSIVE"}


@pytest.mark.parametrize("number", [None, "2"])
def test_torch_and_opencv_are_limited(number: str | None) -> None:
    code = """
        import cv2, torch
        from facemask import threads
        for cores in (5, 1):
            torch.set_num_threads(2)
            cv2.setNumThreads(2)
            threads.free_cores = lambda: threads.Cores(cores, 64)
            print(threads.limit_threads().count, torch.get_num_threads(), cv2.getNumThreads())
    """
    said = fresh(code, **({"OMP_NUM_THREADS": number} if number else {}))
    assert said.splitlines() == ["2 2 2", "2 2 2" if number else "1 1 1"]


@pytest.mark.skipif(sys.platform != "linux", reason="asks GNU's OpenMP what it has read")
def test_the_command_sets_the_policy_before_torch_is_loaded() -> None:
    code = """
        import contextlib, os
        import facemask.cli
        print("imports alone:", os.environ.get("OMP_WAIT_POLICY"), flush=True)
        with contextlib.suppress(SystemExit):
            facemask.cli.main(["--version"])
        os.dup2(1, 2)
        import torch
    """
    said = fresh(code, OMP_DISPLAY_ENV="TRUE")
    assert said.startswith("imports alone: None")
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in said


@pytest.mark.skipif(sys.platform != "linux", reason="counts the process's threads in /proc")
def test_the_limit_holds_in_other_threads() -> None:
    code = """
        import os, torch
        from facemask.ahead import ahead
        conv, images = torch.nn.Conv2d(64, 64, 3, padding=1).eval(), torch.randn(4, 64, 80, 80)
        def convolved():
            with torch.inference_mode():
                before = len(os.listdir("/proc/self/task"))
                conv(images)
                yield len(os.listdir("/proc/self/task")) - before
        torch.set_num_threads(1)
        next(convolved())
        print(list(ahead(convolved(), 1)))
    """
    assert fresh(code) == "[0]"
