"""What operators install: rules and their tests, dashboard, unit, container, backup and its restore."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lociscope.artifacts.predictions import Position, Predictions
from lociscope.images.discovery.field_source import FieldSource
from lociscope.images.io.container import PlaneRef
from lociscope.prediction_log.log import open_log
from lociscope.review.records import Answer, Item, Reason, Verdict
from lociscope.review.store import open_review
from lociscope.service.jobs.database import open_database
from lociscope.service.jobs.records import OPEN, WAITING, Counts, Job, JobField, make_job_id
from lociscope.service.jobs.store import JobStore
from lociscope.service.keys import KeyStore

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
RUNBOOK = (ROOT / "docs" / "how-to" / "operate.md").read_text("utf-8")
RULES = (DEPLOY / "prometheus-rules.yml").read_text("utf-8")
ALERTS = re.findall(r"- alert: (\w+)", RULES)
METRIC = re.compile(r"\blociscope_[a-z_]+")


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)


def test_each_alert_has_an_entry_in_the_runbook() -> None:
    assert len(ALERTS) == len(set(ALERTS)) == 13
    for alert in ALERTS:
        assert f"\n### {alert}\n" in RUNBOOK, alert
        assert f"runbook: docs/how-to/operate.md#{alert.lower()}" in RULES, alert


def test_each_alert_is_provoked_by_a_fault() -> None:
    tests = (DEPLOY / "prometheus-rules-test.yml").read_text("utf-8")
    for alert in ALERTS:
        assert f"alertname: {alert}\n        exp_alerts:\n" in tests, alert
        assert f"alertname: {alert}, exp_alerts: []" in tests, alert
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed; `apt-get install prometheus` runs this test")
    for words in (("check", "rules", "prometheus-rules.yml"), ("test", "rules", "prometheus-rules-test.yml")):
        done = run(promtool, *words[:2], DEPLOY / words[2])
        assert done.returncode == 0, done.stdout + done.stderr


def test_rules_and_dashboard_use_metrics_that_exist(serve: Any, tmp_path: Path) -> None:
    client = serve(store=tmp_path / "store")
    client.get("/healthz")
    found = set(METRIC.findall(client.get("/metrics").text))
    dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text("utf-8"))
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(expressions) >= 12
    rules = re.sub(r"summary: .*|job=\"\w+\"", "", RULES)
    for text in (*expressions, *re.findall(r"expr: ?(?:>-)?(.*?)(?:for|labels):", rules, re.DOTALL)):
        assert set(METRIC.findall(text)) <= found, text


def test_the_unit_is_valid(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    text = (DEPLOY / "lociscope.service").read_text("utf-8").replace("/opt/lociscope/bin/lociscope", sys.executable)
    (tmp_path / "lociscope.service").write_text(text)
    done = run(analyze, "verify", tmp_path / "lociscope.service")
    assert (done.returncode, [line for line in done.stderr.splitlines() if "lociscope.service" in line]) == (0, [])


def instructions() -> list[tuple[str, str]]:
    text = (DEPLOY / "Containerfile").read_text("utf-8").replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in lines]


def test_the_container_copies_what_exists_and_is_not_root() -> None:
    steps = instructions()
    for kind, text in steps:
        if kind == "COPY" and not text.startswith("--from"):
            for name in text.split()[:-1]:
                assert (ROOT / name).exists(), name
    assert ("USER", "10001") in steps
    variables = re.findall(r"(LOCISCOPE_\w+)=", next(text for kind, text in steps if kind == "ENV"))
    source = (ROOT / "src" / "lociscope" / "cli" / "serve.py").read_text("utf-8")
    assert variables
    for name in variables:
        assert f'envvar="{name}"' in source, name


@pytest.mark.slow
def test_the_steps_of_the_container_install_a_service(tmp_path: Path) -> None:
    """The steps of the first stage, without a container engine: the lock is enough for the service."""
    prefix = tmp_path / "opt" / "lociscope"
    shutil.copytree(ROOT / "src", tmp_path / "build" / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("requirements", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff"):
        target = tmp_path / "build" / name
        shutil.copytree(ROOT / name, target) if (ROOT / name).is_dir() else shutil.copy(ROOT / name, target)
    for kind, text in instructions()[: [kind for kind, _ in instructions()].index("FROM", 1)]:
        if kind == "RUN":
            command = text.replace("/opt/lociscope", str(prefix)).replace("python -m venv", f"{sys.executable} -m venv")
            done = subprocess.run(["sh", "-ec", command], cwd=tmp_path / "build", capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
    version = run(prefix / "bin" / "lociscope", "--version")
    assert (version.returncode, version.stdout.startswith("lociscope ")) == (0, True)
    words = [str(prefix / "bin" / "lociscope"), "-q", "serve", "--port", "0", "--keep-days", "7"]
    words += ["--store", str(tmp_path / "store")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        process.terminate()
        assert process.wait(60) == 0


def make_store(folder: Path) -> tuple[str, str]:
    """A store with a job and a key; their id and text."""
    database = open_database(str(folder / "service.sqlite"))
    _, text = KeyStore(database).add("ann")
    job = Job(make_job_id(), "", OPEN, "mine", time.time(), time.time() + 1e6, "", "{}", Counts())
    JobStore(database).create(job, [JobField(job.id, 0, "f", WAITING, "{}", Position())], 5)
    (folder / "jobs" / job.id / "files").mkdir(parents=True)
    (folder / "jobs" / job.id / "files" / "a_red.png").write_bytes(b"12345")
    database.close()
    return job.id, text


def test_a_backup_is_restored(tmp_path: Path) -> None:
    store, backup = tmp_path / "store", tmp_path / "backup"
    job, key = make_store(store)
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "registry.json").write_text("{}")
    script, registry = DEPLOY / "backup.py", ("--registry", tmp_path / "registry")
    open_one = open_database(str(store / "service.sqlite"))  # while the service runs
    done = run(sys.executable, script, store, backup, *registry)
    assert done.returncode == 0, done.stderr
    open_one.close()
    shutil.rmtree(store)
    shutil.rmtree(tmp_path / "registry")
    done = run(sys.executable, script, "--restore", backup, store, *registry)
    assert done.returncode == 0, done.stderr
    database = open_database(str(store / "service.sqlite"), create=False)
    found = JobStore(database).get(job)
    assert found is not None
    assert (found.name, found.counts.waiting, KeyStore(database).find(key) is not None) == ("mine", 1, True)
    database.close()
    assert (store / "jobs" / job / "files" / "a_red.png").read_bytes() == b"12345"
    assert (tmp_path / "registry" / "registry.json").read_text() == "{}"


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def test_log_and_review_are_backed_up_and_restored(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    urls = {"log": str(tmp_path / "log.db"), "review": f"sqlite:///{tmp_path / 'review.db'}"}
    if kind == "postgresql":
        urls = dict.fromkeys(urls, request.getfixturevalue("postgres").new_database())  # one database may have both
    words = [word for name, url in urls.items() for word in (f"--{name}", url)]
    predictions = Predictions(["a", "b"], np.zeros((2, 28), np.float32), [(3,), ()], ["ok"] * 2, [()] * 2)
    source = FieldSource("a", (PlaneRef(tmp_path / "a.tif"),) * 4)

    def write(name: str) -> None:
        with open_log(urls["log"]) as log, open_review(urls["review"], create=True) as review:
            log.add(predictions, np.zeros((2, 34), np.float32), bundle="b" * 64, command="predict")
            review.add([Item(0, name, source, "b", (3,), np.zeros(28, np.float32), Reason.RANDOM, 2, "x")])
            review.answer(Answer(len(review.items()), "ann", Verdict.LABELLED, (3,)))

    write("before")
    script, store, backup = DEPLOY / "backup.py", tmp_path / "store", tmp_path / "backup"
    done = run(sys.executable, script, store, backup, *words)
    assert done.returncode == 0, done.stderr
    write("after")
    done = run(sys.executable, script, "--restore", backup, store, *words)
    assert done.returncode == 0, done.stderr
    with open_log(urls["log"], create=False) as log, open_review(urls["review"]) as review:
        assert len(log.read()) == 2
        assert ([item.id for item in review.items()], len(review.answers())) == (["before"], 1)
    write("again")  # the numbers go on where they were
    with open_log(urls["log"], create=False) as log, open_review(urls["review"]) as review:
        assert len(log.read()) == 4
        assert [item.number for item in review.items()] == [1, 2]


def test_a_backup_of_another_server_or_of_nothing_is_refused(tmp_path: Path) -> None:
    script = DEPLOY / "backup.py"
    done = run(sys.executable, script, tmp_path / "store", tmp_path / "b1", "--log", "mysql://ann:secret@host/lab")
    assert (done.returncode, "neither SQLite nor PostgreSQL" in done.stderr, "secret" in done.stderr) == (
        1,
        True,
        False,
    )
    done = run(sys.executable, script, "--restore", tmp_path / "nowhere", tmp_path / "store")
    assert (done.returncode, "is not a backup folder" in done.stderr) == (1, True)


@pytest.mark.slow
def test_the_sbom_lists_what_the_lock_installs(tmp_path: Path) -> None:
    lock = (ROOT / "requirements" / "serve.txt").read_text("utf-8")
    command = re.findall(r"cyclonedx-py (.+?) -o", (ROOT / "Makefile").read_text("utf-8"))
    words = command[0].replace("pyproject.toml", str(ROOT / "pyproject.toml")).split()
    program = Path(sys.executable).with_name("cyclonedx-py")
    done = run(program, *words, "-o", tmp_path / "sbom.json", ROOT / "requirements" / "serve.txt")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "sbom.json").read_text("utf-8"))
    assert found["bomFormat"] == "CycloneDX"
    pinned = {match.groups() for match in re.finditer(r"^([a-z0-9._-]+)==(\S+)", lock, re.MULTILINE)}
    assert {(each["name"], each["version"]) for each in found["components"]} == pinned
    assert all(each["externalReferences"][0]["hashes"] for each in found["components"])
