"""The service at its limits: latency, saturation, overload, 64 clients, hostile requests, kills, its first page.

Claims, on an otherwise idle machine with two cores, the service on one and the load generator on the other: at
saturation it predicts at least 0.85 times as many fields/s as the predictor does directly from the same PNG files; one
request takes at most 10 ms more; at 0.5, 1, 2 and 10 times its capacity memory stays flat, refusals come at once, and
latency is back within 10 s; 64 clients each get their own field's answer; hostile requests never end in a 5xx other
than 503; promotions and rollbacks at 0.8 times its capacity,
while a candidate answers a fifth of the fields, drop no request and answer none wrongly; `kill -9` loses and doubles no
field of a job; the first paint of the page comes within 0.5 s, and the page
weighs at most 200 kB. The direct prediction and the service alternate.

    python benchmarks/service_load.py [--seconds 60] [--rounds 10] [--hostile 500] [--jobs 50] [PART …]
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import io
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from lociscope.artifacts.bundle import read_bundle, write_bundle
from lociscope.channels import CHANNEL_NAMES
from lociscope.images.discovery.sources import find_fields
from lociscope.images.io.read import read_field
from lociscope.images.io.write import write_planes
from lociscope.labels import N_LABELS
from lociscope.predict.predictor import Predictor, open_bundle
from lociscope.registry.model_registry import CANDIDATE, Registry
from lociscope.service.jobs.database import open_database
from lociscope.service.jobs.store import JobStore
from lociscope.simulate import simulate_field

if TYPE_CHECKING:
    from collections.abc import Iterator

FIELDS, SIZE = 8, 256
PARTS = ("latency", "overload", "clients", "hostile", "switch", "kills", "page")
RATES = (0.5, 1, 2, 10)
TIMEOUT = 120.0
CORES = sorted(os.sched_getaffinity(0))
FORM = {"content-type": "multipart/form-data; boundary=edge"}


def pin(process: int, core: int) -> None:
    """Run a process on one core, where there are two."""
    if len(CORES) > 1:
        os.sched_setaffinity(process, {CORES[core]})


@contextmanager
def serving(store: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A service on the first core, and its port."""
    command = [sys.executable, "-m", "lociscope", "-q", "serve", "--port", "0", "--store", str(store), *words]
    pin(0, 0)  # inherited by the process and its threads
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    pin(0, 1)
    try:
        yield process, int((process.stdout.readline() if process.stdout else "").rpartition(":")[2])
    finally:
        process.kill()
        process.wait()


def make_form(files: dict[str, bytes]) -> bytes:
    """Files as the body of a form."""
    parts = []
    for name, data in files.items():
        head = f'--edge\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
        parts += [head.encode(), data, b"\r\n"]
    return b"".join([*parts, b"--edge--\r\n"])


def ask(port: int, body: bytes, path: str = "/predict", headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """Post a body; return the status and the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        connection.request("POST", path, body, FORM | (headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def resident(process: int) -> float:
    """Resident memory, MiB."""
    return int(Path(f"/proc/{process}/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


def time_direct(predictor: Predictor, folder: Path) -> list[float]:
    """Seconds of each prediction from files, one after the other, on the core of the service."""
    times = []
    pin(0, 0)
    for source in find_fields([folder])[0]:
        began = time.perf_counter()
        predictor.run([predictor.prepare(read_field(source))])
        times.append(time.perf_counter() - began)
    pin(0, 1)
    return times


def time_requests(port: int, bodies: list[bytes]) -> list[float]:
    """Seconds of each request, one after the other."""
    times = []
    for body in bodies:
        began = time.perf_counter()
        status, said = ask(port, body)
        if status != 200:
            raise RuntimeError(said)
        times.append(time.perf_counter() - began)
    return times


def saturate(port: int, bodies: list[bytes]) -> float:
    """Fields a second with eight clients."""
    began, number = time.perf_counter(), 4 * len(bodies)
    with ThreadPoolExecutor(8) as pool:
        done = sum(status == 200 for status, _ in pool.map(lambda k: ask(port, bodies[k % len(bodies)]), range(number)))
    return done / (time.perf_counter() - began)


def measure_latency(port: int, bodies: list[bytes], predictor: Predictor, folder: Path, rounds: int) -> dict[str, Any]:
    """Added milliseconds of one request, and throughput at saturation over the direct one, in alternating rounds."""
    direct, sent, rates, ratios = [], [], [], []
    for _ in range(rounds):
        direct += (some := time_direct(predictor, folder))
        sent += time_requests(port, bodies)
        rates.append(saturate(port, bodies))
        ratios.append(rates[-1] * statistics.mean([*some, *time_direct(predictor, folder)]))
    return {
        "added ms, p50": round(1000 * (statistics.median(sent) - statistics.median(direct)), 2),
        "direct ms, p50": round(1000 * statistics.median(direct), 2),
        "saturation over direct": round(statistics.median(ratios), 3),
        "saturation over direct, lowest and highest round": [round(min(ratios), 3), round(max(ratios), 3)],
        "fields a second": round(statistics.median(rates), 1),
    }


async def offer(port: int, body: bytes, rate: float, seconds: float) -> list[tuple[int, float]]:
    """Send requests at a rate, whether or not earlier ones are answered; return (status, seconds) of each."""
    head = f"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\nconnection: close\r\n"
    data = f"{head}content-type: {FORM['content-type']}\r\n\r\n".encode() + body

    async def one() -> tuple[int, float]:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(TIMEOUT):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(data)
                line = await reader.readline()
                writer.close()
            return int(line.split()[1]), time.perf_counter() - began
        except (OSError, TimeoutError, IndexError, ValueError):
            return 0, time.perf_counter() - began

    tasks = []
    for _ in range(max(1, int(rate * seconds))):
        tasks.append(asyncio.create_task(one()))
        await asyncio.sleep(1 / rate)
    return await asyncio.gather(*tasks)


def wait_for_recovery(port: int, body: bytes, usual: float) -> float:
    """Seconds until a request takes at most twice its usual time again."""
    began = time.perf_counter()
    while time.perf_counter() - began < TIMEOUT:
        sent = time.perf_counter()
        if ask(port, body)[0] == 200 and time.perf_counter() - sent <= 2 * usual:
            break
        time.sleep(0.1)
    return time.perf_counter() - began


def measure_overload(process: int, port: int, bodies: list[bytes], seconds: float) -> dict[str, Any]:
    """Statuses, time of refusals, memory and recovery at each rate, in multiples of the capacity."""
    usual = statistics.quantiles(time_requests(port, bodies * 3), n=10)[-1]
    capacity = statistics.median(saturate(port, bodies) for _ in range(3))
    found: dict[str, Any] = {"capacity, fields a second": round(capacity, 1)}
    for times in RATES:
        before = resident(process)
        answers = asyncio.run(offer(port, bodies[0], times * capacity, seconds))
        refused = [taken for status, taken in answers if status == 503]
        found[f"{times} × capacity"] = {
            "statuses": dict(Counter(str(status) for status, _ in answers)),
            "refusal s, p50": round(statistics.median(refused), 3) if refused else None,
            "refusal s, p99": round(float(np.quantile(refused, 0.99)), 3) if refused else None,
            "MiB grown": round(resident(process) - before, 1),
            "s until latency is back": round(wait_for_recovery(port, bodies[0], usual), 1),
        }
    return found


def count_wrong(port: int, bodies: dict[str, bytes], truth: dict[str, np.ndarray]) -> int:
    """Answers that are not those of their field, with 64 clients."""

    def one(k: int) -> int:
        name = list(bodies)[k % len(bodies)]
        status, data = ask(port, bodies[name])
        while status == 503:
            time.sleep(1)
            status, data = ask(port, bodies[name])
        said = json.loads(data)
        return int(said.get("id") != name or np.abs(np.asarray(said["probabilities"]) - truth[name]).max() > 1e-4)

    with ThreadPoolExecutor(64) as pool:
        return sum(pool.map(one, range(128)))


def make_hostile(random_: random.Random, body: bytes) -> tuple[str, bytes, dict[str, str]]:
    """A request that is malformed, huge, a bomb or a slip."""
    path = random_.choice(["/predict", "/jobs", "/v2/models/lociscope/infer"])
    kind = random_.randrange(6)
    if kind == 0:  # flipped bytes
        data = bytearray(body)
        for _ in range(random_.randrange(1, 40)):
            data[random_.randrange(len(data))] = random_.randrange(256)
        return path, bytes(data), {}
    if kind == 1:
        return path, body[: random_.randrange(len(body))], {}
    if kind == 2:
        return path, random_.randbytes(random_.randrange(4096)), {}
    if kind == 3:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("../" * random_.randrange(4) + "a_red.png", bytes(random_.choice([10, 1 << 24])))
        return path, make_form({random_.choice(["a.zip", "../../a.zip", "a\0b.zip"]): buffer.getvalue()}), {}
    if kind == 4:
        names = [f"{'x' * random_.randrange(300)}{k}_red.png" for k in range(random_.randrange(1, 40))]
        return path, make_form(dict.fromkeys(names, b"\x89PNG\r\n\x1a\n")), {}
    values = random_.choice(["1e999", "-1", "[]", "{}", "null", '"x"', "Infinity", "NaN"])
    text = f'{{"inputs": [{{"name": "fields", "shape": [1, {values}, 2, 4], "datatype": "UINT8", "data": {values}}}]}}'
    return path, text.encode(), {"content-type": "application/json"}


def attack(process: int, port: int, body: bytes, number: int) -> dict[str, Any]:
    """Hostile requests: faults of the service, hangs, and growth."""
    random_, statuses = random.Random(0), Counter[str]()  # noqa: S311 - a seed that repeats
    before = resident(process)
    for each in range(number):
        path, data, headers = make_hostile(random_, body)
        try:
            if each % 25 == 0:  # cut off in mid-body
                with socket.create_connection(("127.0.0.1", port)) as cut:
                    cut.sendall(f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999\r\n\r\nx".encode())
                continue
            statuses[str(ask(port, data, path, headers)[0])] += 1
        except (TimeoutError, OSError, http.client.HTTPException) as error:
            statuses["hang" if isinstance(error, TimeoutError) else "closed"] += 1
    faults = sum(n for status, n in statuses.items() if status.startswith("5") and status not in ("503", "507"))
    return {"statuses": dict(statuses), "faults": faults, "MiB grown": round(resident(process) - before, 1)}


def make_registry(folder: Path) -> Registry:
    """A registry of the shipped bundle and of one that reports other locations; the first is in production."""
    bundle = read_bundle()
    decide = msgspec.structs.replace(bundle.card.decide, thresholds=(0.6,) * N_LABELS)
    card = msgspec.structs.replace(bundle.card, name="other", decide=decide)
    write_bundle(folder / "other", card, bundle.model, bundle.selftest, {}, [each.folder for each in bundle.members])
    registry = Registry(folder / "registry")
    for path in (bundle.folder, folder / "other"):
        registry.add(path, who="bench", why="")
    registry.promote(bundle.card.name, who="bench", why="")
    registry.promote("other", alias=CANDIDATE, who="bench", why="")
    return registry


def switch(place: Path, bodies: dict[str, bytes], fields: Path, seconds: float) -> dict[str, Any]:
    """Promote and roll back at 0.8 times the capacity while a candidate answers a fifth; count dropped and wrong."""
    registry = make_registry(place)
    truth = {
        (each.sha256, source.id): [*predictor.predict(source).predicted[0]]
        for each in registry.entries()
        for predictor in [open_bundle(each.folder, 1)]
        for source in find_fields([fields])[0]
    }
    names, seen, switches = [*bodies], Counter[str](), 0

    def one(number: int) -> str:
        name = names[number % len(names)]
        try:
            status, data = ask(port, bodies[name])
        except (OSError, http.client.HTTPException) as error:
            return f"dropped: {error}"
        if status != 200:
            return f"dropped: {status}"
        said = json.loads(data)
        right = said["id"] == name and said["predicted"] == truth[said["bundle"]["sha256"], name]
        return said["bundle"]["name"] if right else "wrong"

    with serving(place / "store", "--registry", str(registry.folder), "--candidate", "0.2") as (_, port):
        time_requests(port, list(bodies.values()))
        rate = 0.8 * statistics.median(saturate(port, list(bodies.values())) for _ in range(3))
        number, began = int(rate * seconds), time.perf_counter()
        with ThreadPoolExecutor(32) as pool:
            waiting = []
            for each in range(number):
                time.sleep(max(0.0, began + each / rate - time.perf_counter()))
                waiting.append(pool.submit(one, each))
                if (each + 1) * 10 // number > switches and switches < 9:
                    switches += 1
                    if switches % 2:
                        registry.promote("other", who="bench", why="")
                    else:
                        registry.rollback(who="bench", why="")
            seen.update(each.result() for each in waiting)
    dropped = sum(n for outcome, n in seen.items() if outcome.startswith("dropped"))
    return {
        "requests": number, "a second": round(rate, 1), "switches": switches, "dropped": dropped,
        "wrong": seen["wrong"], "answered by": {name: n for name, n in seen.items() if ":" not in name},
    }  # fmt: skip


def kill_jobs(folder: Path, archive: bytes, fields: int, number: int) -> dict[str, int]:
    """Kill the service at random moments while it predicts jobs; return lost and doubled fields."""
    jobs: list[str] = []
    random_, kills = random.Random(1), 0  # noqa: S311 - a seed that repeats
    body = make_form({"f.zip": archive})
    store = JobStore(open_database(str(folder / "service.sqlite")))
    while len(jobs) < number:
        with serving(folder) as (process, port):
            ends = time.monotonic() + random_.uniform(0.5, 3)
            while time.monotonic() < ends and len(jobs) < number:
                status, data = ask(port, body, "/jobs")
                if status == 202:
                    jobs.append(json.loads(data)["id"])
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
    with serving(folder):
        while store.count_waiting():
            time.sleep(1)
    rows = [store.read_fields(job) for job in jobs]
    done = [[field.number for field in some if field.state == "done"] for some in rows]
    return {
        "jobs": len(jobs), "kills": kills, "lost": sum(fields - len(set(some)) for some in done),
        "doubled": sum(len(some) - len(set(some)) for some in done),
    }  # fmt: skip


def measure_page(port: int) -> dict[str, float]:
    """First paint of the page, the median of nine visits, and what it loads."""
    from playwright.sync_api import sync_playwright

    paint = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    weigh = """() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
      .reduce((sum, each) => sum + each.encodedBodySize, 0)"""
    seconds = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        for _ in range(9):
            page = browser.new_page()
            page.set_default_timeout(1000 * TIMEOUT)
            page.goto(f"http://127.0.0.1:{port}/", wait_until="networkidle")
            page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
            seconds.append(page.evaluate(paint) / 1000)
            weight = page.evaluate(weigh)
            page.close()
        browser.close()
    return {"first paint s, p50": round(statistics.median(seconds), 3), "kB": round(weight / 1000, 1)}


def make_fields(folder: Path) -> dict[str, dict[str, bytes]]:
    """Write simulated fields; return the files of each."""
    for number in range(FIELDS):
        write_planes(folder, f"f{number}", simulate_field(number, seed=3, size=SIZE).pixels)
    return {
        f"f{k}": {f"f{k}_{c}.png": (folder / f"f{k}_{c}.png").read_bytes() for c in CHANNEL_NAMES}
        for k in range(FIELDS)
    }


def pack(some: list[dict[str, bytes]]) -> bytes:
    """Fields as a zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in (item for each in some for item in each.items()):
            archive.writestr(name, data)
    return buffer.getvalue()


def measure(place: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Measure the parts that are asked for."""
    folder = place / "fields"
    files = make_fields(folder)
    bodies = {key: make_form(each) for key, each in files.items()}
    predictor, some = open_bundle(None, 1), list(bodies.values())
    found: dict[str, Any] = {"load of the machine, before": round(os.getloadavg()[0], 1)}
    with serving(place / "store") as (process, port):
        time_requests(port, some)
        if "latency" in asked.parts:
            found |= measure_latency(port, some, predictor, folder, asked.rounds)
        if "overload" in asked.parts:
            found["overload"] = measure_overload(process.pid, port, some, asked.seconds)
        if "clients" in asked.parts:
            truth = {each.id: predictor.predict(each).probability[0] for each in find_fields([folder])[0]}
            found["answers of another field, 64 clients"] = count_wrong(port, bodies, truth)
        if "hostile" in asked.parts:
            found["hostile"] = attack(process.pid, port, some[0], asked.hostile)
        if "page" in asked.parts:
            found["page"] = measure_page(port)
    if "switch" in asked.parts:
        found["switch"] = switch(place / "switched", bodies, folder, asked.seconds)
    if "kills" in asked.parts:
        found["kills"] = kill_jobs(place / "killed", pack(list(files.values())[:3]), 3, asked.jobs)
    return found


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--hostile", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=50)
    parser.add_argument("parts", nargs="*", default=PARTS)
    with tempfile.TemporaryDirectory() as name:
        print(json.dumps(measure(Path(name), parser.parse_args())))


if __name__ == "__main__":
    main()
