"""Worker processes: results in order, and an end with the parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lociscope.processes.workers import map_in_order

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize("workers", [None, 1, 2])
def test_in_order(workers: int | None) -> None:
    assert list(map_in_order(abs, range(-30, 0), workers)) == list(range(30, 0, -1))


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc has these settings")
def test_freed_memory_is_kept() -> None:
    script = (
        "import numpy as np, resource\n"
        "from lociscope.processes.workers import keep_freed_memory\n"
        "def faults():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    for _ in range(50): [np.ones((256, 256), np.float32) + k for k in range(20)]\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "faults(); fetched = faults(); keep_freed_memory(); faults(); print(fetched, faults())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    fetched, kept = map(int, done.stdout.split())
    assert kept < fetched / 10


def test_little_is_asked_for_ahead() -> None:
    asked = 0

    def items() -> Iterator[int]:
        nonlocal asked
        for number in range(10_000):
            asked += 1
            yield number

    made = map_in_order(abs, items(), 2)
    next(made)
    assert asked < 20
    made.close()  # type: ignore[attr-defined]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc to see the processes that are left")
def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, time\n"
        "from lociscope.processes.workers import map_in_order\n"
        "def pid(_): time.sleep(0.05); return os.getpid()\n"
        "if __name__ == '__main__':\n"
        "    for made in map_in_order(pid, range(10000), 2): print(made, flush=True)\n"
    )
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    workers = {int(parent.stdout.readline()) for _ in range(6)}
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 30
    while any(_runs(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in workers if _runs(pid)]


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    return state != "Z"
