"""Watching a folder loses no field and predicts none twice, although the process is killed ten times.

Claim: of 500 fields that arrive at 10 per second, with channels shuffled over neighbouring fields and each file
written in two halves, none is lost and none is predicted twice when the watch is killed (SIGKILL) ten times at random
moments. `late` is the time from closing the last channel's file to the prediction on disk, for 200 more fields without
kills. Watching 100,000 files at rest takes less than 5 % of a core.
"""

from __future__ import annotations

import csv
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from lociscope.channels import CHANNEL_NAMES
from lociscope.images.io.write import write_planes
from lociscope.simulate import simulate_field

FIELDS = int(os.environ.get("FIELDS", "500"))
RATE = 10.0
KILLS = 10
REST_FILES = int(os.environ.get("REST_FILES", "100000"))
REST_SECONDS = 60
DRAWN = 8
SETTLE = 1.0


class Writer(threading.Thread):
    """Writes fields as a microscope might, and notes when each was complete."""

    def __init__(self, source: Path, folder: Path, fields: int) -> None:
        super().__init__()
        self.source, self.folder, self.fields = source, folder, fields
        self.complete: dict[str, float] = {}

    def run(self) -> None:
        """Channels of five neighbouring fields come mixed; each file is closed after its second half."""
        chance = np.random.default_rng(1)
        began = time.time()
        for first in range(0, self.fields, 5):
            some = range(first, min(first + 5, self.fields))
            files = [(number, channel) for number in some for channel in CHANNEL_NAMES]
            left = dict.fromkeys(some, len(CHANNEL_NAMES))
            for done, at in enumerate(chance.permutation(len(files)), 1):
                number, channel = files[at]
                data = (self.source / f"f{number % DRAWN}_{channel}.png").read_bytes()
                with (self.folder / f"x{number:04d}_{channel}.png").open("wb") as file:
                    file.write(data[: len(data) // 2])
                    file.flush()
                    due = began + (first + len(some) * done / len(files)) / RATE
                    time.sleep(max(0.0, due - time.time()))
                    file.write(data[len(data) // 2 :])
                left[number] -= 1
                if not left[number]:
                    self.complete[f"x{number:04d}"] = time.time()


class Ear(threading.Thread):
    """Hears when a watch says that a field is predicted, which it says once that is on disk."""

    def __init__(self, watch: subprocess.Popen[str], told: dict[str, list[float]]) -> None:
        super().__init__()
        self.watch, self.told = watch, told
        self.start()

    def run(self) -> None:
        """Until the watch ends; a kill may cut its last line off."""
        for line in self.watch.stdout or ():
            if line.endswith("}\n") and (said := json.loads(line))["event"] == "predicted":
                self.told.setdefault(said["id"], []).append(said["time"])


def start(folder: Path, out: Path, *words: str) -> subprocess.Popen[str]:
    """A watch in a process of its own."""
    command = [sys.executable, "-m", "lociscope", "watch", str(folder), "-o", str(out), "--json", *words]
    return subprocess.Popen([*command, "--settle", str(SETTLE)], stdout=subprocess.PIPE, text=True)


def under_fire(source: Path, root: Path) -> dict[str, object]:
    """Kills, and counts what is in the table at the end."""
    folder, out = root / "fire", root / "fire.csv"
    folder.mkdir()
    kills = np.sort(np.random.default_rng(2).uniform(1, FIELDS / RATE + 2, KILLS))
    writer = Writer(source, folder, FIELDS)
    told: dict[str, list[float]] = {}
    began = time.time()
    writer.start()
    for at in kills:
        watch = start(folder, out)
        ear = Ear(watch, told)
        time.sleep(max(0.0, began + at - time.time()))
        watch.send_signal(signal.SIGKILL)
        ear.join()
        watch.wait()
    writer.join()
    watch = start(folder, out, "--until-idle", "5")
    Ear(watch, told).join()
    watch.wait()
    with out.open(newline="", encoding="utf-8") as lines:
        ids = [row["id"] for row in csv.DictReader(lines)]
    expected = {f"x{number:04d}" for number in range(FIELDS)}
    lost, doubled = len(expected - set(ids)), len(ids) - len(set(ids))
    again = sum(len(times) > 1 for times in told.values())
    return {"fields": FIELDS, "kills": KILLS, "lost": lost, "doubled": doubled, "predicted twice": again}


def in_peace(source: Path, root: Path) -> dict[str, object]:
    """How late each prediction is."""
    folder = root / "peace"
    folder.mkdir()
    watch = start(folder, root / "peace.csv", "--until-idle", "8")
    told: dict[str, list[float]] = {}
    ear = Ear(watch, told)
    time.sleep(3)
    writer = Writer(source, folder, min(FIELDS, 200))
    writer.start()
    writer.join()
    ear.join()
    watch.wait()
    late = np.array([told[name][0] - done for name, done in writer.complete.items()])
    shares = {f"late, p{share}, s": round(float(np.percentile(late, share)), 2) for share in (50, 95)}
    return {"fields": len(late), "a second": RATE, **shares, "of which settling, s": SETTLE}


def at_rest(root: Path) -> dict[str, object]:
    """Share of a core that a watch of many files takes which lack a channel, so that nothing is predicted."""
    folder = root / "rest"
    folder.mkdir()
    for number in range(REST_FILES):
        (folder / f"r{number:06d}_red.png").touch()
    watch = start(folder, root / "rest.csv", "--incomplete-after", "1000000")
    used = []
    for seconds in (20, REST_SECONDS):
        time.sleep(seconds)
        used.append(cpu_seconds(watch.pid))
    watch.send_signal(signal.SIGINT)
    watch.communicate()
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {
        "files": REST_FILES,
        "first look, CPU s": round(used[0], 2),
        "share of a core": round((used[1] - used[0]) / REST_SECONDS, 4),
        "most": 0.05,
        "MiB": round(peak),
    }


def cpu_seconds(pid: int) -> float:
    """What a process has used so far."""
    parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measures and prints JSON."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for number in range(DRAWN):
            write_planes(root / "source", f"f{number}", simulate_field(number, seed=3, size=512).pixels)
        found = {"under fire": under_fire(root / "source", root), "in peace": in_peace(root / "source", root)}
        print(json.dumps({**found, "at rest": at_rest(root)}))


if __name__ == "__main__":
    main()
