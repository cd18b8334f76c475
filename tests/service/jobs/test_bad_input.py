"""Bad input of jobs: what is refused leaves nothing behind, what fails for a while is resumed."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lociscope.service.jobs.receive import StoredFile

if TYPE_CHECKING:
    from pathlib import Path

Until = Callable[[Callable[[], bool]], None]


@pytest.fixture
def client(serve: Any, tmp_path: Path) -> Any:
    return serve(store=tmp_path / "store", job_workers=0)


@pytest.fixture
def no_trace(tmp_path: Path) -> Callable[[], None]:
    """Checks that a refused upload has left no file."""

    def check() -> None:
        assert list((tmp_path / "store" / "jobs").iterdir()) == []

    return check


def stack(make: Any, channels: int) -> bytes:
    """A picture of several pages without names."""
    import io

    import tifffile

    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.zeros((channels, 16, 16), np.uint8), photometric="minisblack")
    return buffer.getvalue()


def protect(archive: bytes) -> bytes:
    """An archive whose files claim to be encrypted, in both of their headers."""
    data = bytearray(archive)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(signature)
        while at >= 0:
            data[at + offset] |= 1
            at = data.find(signature, at + 4)
    return bytes(data)


@pytest.mark.parametrize("path", ["/predict", "/jobs"])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_wrong_counts_of_channels(
    client: Any, make: Any, no_trace: Callable[[], None], path: str, channels: int
) -> None:
    answer = client.post(path, files=make.form({"a.tif": stack(make, channels)}))
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] in ("unknown-channel", "missing-channel", "nothing-found", "invalid-value")
    no_trace()


def test_the_page_asks_which_plane_of_a_stack_is_which(
    serve: Any, make: Any, tmp_path: Path, wait_until: Until
) -> None:
    client = serve(store=tmp_path / "store")
    files = make.form({"a.tif": stack(make, 5), "b.tif": stack(make, 5)})
    sent = client.post("/jobs", files=files, headers={"accept": "text/html"}, follow_redirects=False)
    job = sent.headers["location"].rpartition("/")[2]
    assert client.get(f"/jobs/{job}").json()["state"] == "asking"
    wrong = client.post(f"/jobs/{job}/names", data={"channels": "red=0,green=1,blue=2,yellow=9"})
    assert wrong.status_code == 422
    right = client.post(f"/jobs/{job}/names", data={"channels": "red=0,green=1,blue=2,yellow=4"})
    assert right.status_code == 200, right.text
    wait_until(lambda: client.get(f"/jobs/{job}").json()["done"] == 2)


def test_one_stack_of_many_does_not_ask(client: Any, make: Any) -> None:
    answer = client.post("/jobs", files=make.form({"a.tif": stack(make, 5), **make.planes("b1")}))
    assert (answer.status_code, answer.json()["total"]) == (202, 2)


@pytest.mark.parametrize("path", ["/predict", "/jobs"])
def test_a_zip_with_a_password(client: Any, make: Any, no_trace: Callable[[], None], path: str) -> None:
    answer = client.post(path, files=make.form({"a.zip": protect(make.zipped(make.planes()))}))
    assert answer.status_code == 422
    assert answer.json()["code"] in ("unreadable", "unsupported-format")
    no_trace()


@pytest.mark.slow
def test_a_thousand_files(client: Any, make: Any, tmp_path: Path, no_trace: Callable[[], None]) -> None:
    words = {f"{k}.txt": b"words" for k in range(1000)}
    assert client.post("/predict", files=make.form(words)).status_code == 400
    assert client.post("/jobs", files=make.form(words)).status_code == 422
    no_trace()
    field = make.planes()
    many = {name.replace("a1", f"f{k}"): data for k in range(250) for name, data in field.items()}
    sent = client.post("/jobs", files=make.form(many))
    assert (sent.status_code, sent.json()["total"]) == (202, 250)


@pytest.mark.parametrize("path", ["/predict", "/jobs"])
def test_two_gigabytes_are_refused_unread(client: Any, no_trace: Callable[[], None], path: str) -> None:
    read = []

    def body() -> Any:
        read.append(1)
        yield b"x"

    headers = {"content-length": str(2 << 30), "content-type": "multipart/form-data; boundary=edge"}
    assert client.post(path, content=body(), headers=headers).status_code == 413
    no_trace()


def test_a_full_disk(client: Any, make: Any, no_trace: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    async def fill(self: StoredFile) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(StoredFile, "_flush", fill)
        answer = client.post("/jobs", files=make.form(make.planes()))
    assert (answer.status_code, answer.headers["retry-after"]) == (507, "10")
    no_trace()
    assert client.post("/jobs", files=make.form(make.planes())).status_code == 202


def test_a_database_that_is_gone_in_mid_job(serve: Any, make: Any, tmp_path: Path, wait_until: Until) -> None:
    """Results that could not be stored are predicted again; none is lost or doubled."""
    client = serve(store=tmp_path / "store")
    many = {name: data for k in range(12) for name, data in make.planes(f"f{k}", k).items()}
    job = client.post("/jobs", files=make.form(many)).json()["id"]
    wait_until(lambda: client.get(f"/jobs/{job}").json()["done"] >= 1)
    files = list((tmp_path / "store").glob("service.sqlite*"))
    for file in files:
        file.rename(file.with_name(f"away-{file.name}"))
    wait_until(lambda: client.get(f"/jobs/{job}").status_code == 503)
    wait_until(lambda: bool(client.app.state.service.runner.trouble))
    assert client.get("/readyz").json()["degraded"]
    for file in files:
        file.with_name(f"away-{file.name}").rename(file)
    wait_until(lambda: client.get(f"/jobs/{job}").json().get("state") == "done")
    found = client.get(f"/jobs/{job}/fields").json()
    assert [(field["id"], field["state"]) for field in found] == [(f"f{k}", "done") for k in sorted(range(12), key=str)]


def test_a_job_that_is_cancelled_in_mid_work(serve: Any, make: Any, tmp_path: Path, wait_until: Until) -> None:
    client = serve(store=tmp_path / "store")
    many = {name: data for k in range(30) for name, data in make.planes(f"f{k}", k).items()}
    job = client.post("/jobs", files=make.form(many)).json()["id"]
    wait_until(lambda: client.get(f"/jobs/{job}").json()["done"] >= 1)
    assert client.post(f"/jobs/{job}/cancel").json()["state"] == "cancelled"
    client.app.state.service.runner.stop()
    done = client.get(f"/jobs/{job}").json()["done"]
    assert 1 <= done < 30
    assert len(client.get(f"/jobs/{job}/results.csv").text.splitlines()) == 1 + done
