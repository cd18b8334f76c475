"""API keys: made, found, revoked; stored as hashes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from lociscope.cli import app
from lociscope.errors import Code, LociscopeError, UsageError
from lociscope.service.jobs.database import open_database
from lociscope.service.keys import TRUST_SECONDS, KeyStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(tmp_path: Path, clock: Clock) -> Iterator[KeyStore]:
    database = open_database(str(tmp_path / "service.sqlite"))
    yield KeyStore(database, clock)
    database.close()


def test_a_key_is_found_until_it_is_revoked(keys: KeyStore, clock: Clock) -> None:
    assert not keys.is_required()
    key, text = keys.add("robot")
    clock.now += TRUST_SECONDS
    assert keys.is_required()
    assert keys.find(text) == key.id
    assert keys.find(text[:-1] + ("a" if text[-1] != "a" else "b")) is None
    assert keys.find("lsk_") is None
    assert keys.revoke("robot").id == key.id
    clock.now += TRUST_SECONDS
    assert keys.find(text) is None
    assert keys.is_required()  # the service stays closed
    assert [each.is_active for each in keys.list()] == [False]


def test_the_text_of_a_key_is_not_stored(keys: KeyStore, tmp_path: Path) -> None:
    _, text = keys.add("robot")
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert text.encode() not in stored
    assert text.rpartition("_")[2].encode() not in stored


def test_names_that_two_keys_share_must_be_told_apart_by_id(keys: KeyStore) -> None:
    first, _ = keys.add("robot")
    keys.add("robot")
    with pytest.raises(LociscopeError) as caught:
        keys.revoke("robot")
    assert caught.value.code is Code.DUPLICATE
    keys.revoke(first.id)
    with pytest.raises(LociscopeError) as caught:
        keys.revoke(first.id)
    assert caught.value.code is Code.UNKNOWN_NAME
    for name in ("", " ", "x" * 65, "a\nb"):
        with pytest.raises(UsageError):
            keys.add(name)


def test_requests_need_a_key_once_there_is_one(serve: Any, make: Any, tmp_path: Path) -> None:
    client = serve(store=tmp_path / "store")
    assert client.get("/").status_code == 200
    url = str(tmp_path / "store" / "service.sqlite")
    run = CliRunner().invoke(app, ["keys", "add", "ann", "--database", url, "--json"])
    assert run.exit_code == 0, run.output
    made = json.loads(run.stdout)
    other = client.app.state.service.jobs  # the service sees the key within seconds
    assert other is not None
    _forget(client)
    assert client.get("/").status_code == 401
    assert client.get("/healthz").status_code == 200
    headers = {"authorization": f"Bearer {made['key']}"}
    assert client.get("/", headers=headers).status_code == 200
    assert client.get("/", auth=("anyone", made["key"])).status_code == 200
    assert client.get("/", headers={"x-api-key": made["key"]}).status_code == 200
    job = client.post("/jobs", files=make.form(make.planes()), headers=headers).json()
    assert [each["id"] for each in client.get("/jobs", headers=headers).json()] == [job["id"]]
    second = json.loads(CliRunner().invoke(app, ["keys", "add", "bob", "--database", url, "--json"]).stdout)
    theirs = {"authorization": f"Bearer {second['key']}"}
    assert client.get("/jobs", headers=theirs).json() == []
    assert client.get(f"/jobs/{job['id']}", headers=theirs).status_code == 200  # the link is shared on purpose
    assert client.delete(f"/jobs/{job['id']}", headers=theirs).status_code == 403
    words = ["keys", "revoke", "ann", "--database", url, "--store", str(tmp_path / "store"), "--delete-jobs"]
    assert CliRunner().invoke(app, words).exit_code == 0
    _forget(client)
    assert client.get("/", headers=headers).status_code == 401
    assert client.get(f"/jobs/{job['id']}", headers=theirs).status_code == 410
    assert not (tmp_path / "store" / "jobs" / job["id"]).exists()
    listed = json.loads(CliRunner().invoke(app, ["keys", "list", "--database", url, "--json"]).stdout)
    assert [(each["name"], each["revoked"] is None) for each in listed] == [("ann", False), ("bob", True)]


def test_keys_protect_a_service_for_others(serve: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        serve(store=tmp_path / "store", host="0.0.0.0")
    url = str(tmp_path / "store" / "service.sqlite")
    assert CliRunner().invoke(app, ["keys", "add", "ann", "--database", url]).exit_code == 0
    client = serve(store=tmp_path / "store", host="0.0.0.0")
    assert client.get("/").status_code == 401
    assert serve(store=tmp_path / "store", host="0.0.0.0", public=True).get("/").status_code == 200


def _forget(client: Any) -> None:
    """Let the service ask the database again, as it does after `TRUST_SECONDS`."""
    middleware = client.app.middleware_stack
    while not hasattr(middleware, "_keys"):
        middleware = middleware.app
    middleware._keys._known.clear()
    middleware._keys._required = (float("-inf"), False)
