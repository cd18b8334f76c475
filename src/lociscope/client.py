"""A client of `lociscope serve`: predict a field, or send many and read their results; with the standard library only.

Example:
    >>> from lociscope.client import Client
    >>> client = Client("http://127.0.0.1:8000")  # doctest: +SKIP
    >>> client.predict(["a1_red.png", "a1_green.png", "a1_blue.png", "a1_yellow.png"]).names  # doctest: +SKIP
    ('Nucleoplasm',)
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from lociscope.errors import Code, LociscopeError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import TracebackType

    from lociscope.artifacts.predictions import Predictions
    from lociscope.storage.paths import AnyPath

MAX_TRIES = 6
"""Number of times that a request is sent while the service is busy."""

MAX_WAIT = 60.0
"""Longest wait between two of them, s; the service names the seconds in `Retry-After`."""

_STEP = 1 << 20


class ServiceError(LociscopeError):
    """The service has refused a request, or cannot be reached.

    Attributes:
        status: The HTTP status; 0 where there was no answer.
    """

    status: int = 0

    def __init__(self, message: str, code: Code, status: int = 0) -> None:
        super().__init__(message, code=code)
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """The locations of the protein in one field.

    Attributes:
        id: The name of the field.
        predicted: Class numbers, ascending; may be empty.
        names: The names of these classes.
        status: `ok`, `unsure`, `negative` or `unlike-training`.
        sentence: The prediction as a sentence.
        warnings: Warnings about the field, as sentences.
        probabilities: 28, by class number.
        thresholds: 28, by class number.
        bundle: The sha256 of the bundle that predicted it.
    """

    id: str
    predicted: tuple[int, ...]
    names: tuple[str, ...]
    status: str
    sentence: str
    warnings: tuple[str, ...]
    probabilities: tuple[float, ...]
    thresholds: tuple[float, ...]
    bundle: str


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A job.

    Attributes:
        id: Its name in addresses.
        name: What the page calls it.
        state: `asking`, `running`, `done`, `cancelled`, `expired` or `deleted`.
        total: Number of fields.
        done: Number of predicted fields.
        failed: Number of fields that cannot be read.
        expires: When its files and results are deleted, ISO 8601 in UTC.
    """

    id: str
    name: str
    state: str
    total: int
    done: int
    failed: int
    expires: str

    @property
    def is_finished(self) -> bool:
        """Return whether nothing is to be waited for."""
        return self.state != "running"


@dataclass(slots=True)
class Client:
    """A client of one service. Each method may be called from several threads.

    Args:
        address: Such as `http://127.0.0.1:8000`, or `https://cells.example.org/lociscope`.
        key: The API key; None uses `LOCISCOPE_API_KEY`, if it is set.
        timeout: Seconds after which a silent service counts as unreachable.
    """

    address: str
    key: str | None = field(default=None, repr=False)
    timeout: float = 60.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(
                f"`address` is {self.address!r}; expected http://HOST:PORT or https://HOST.", code=Code.INVALID_VALUE
            )
        if self.key is None:
            self.key = os.environ.get("LOCISCOPE_API_KEY")

    def predict(self, files: Iterable[AnyPath], **options: object) -> Answer:
        """Predict one field; the service keeps nothing.

        Args:
            files: Its pictures, or one stack, or a zip of either.
            options: `pixel_size`, `channels`, `allow_missing`, `plane`, as for `POST /predict`.

        Raises:
            ServiceError: The service refuses the field, or cannot be reached.
        """
        said = self._ask_json("POST", "/predict", list(map(Path, files)), options)
        return _to_answer(said)

    def send(self, files: Iterable[AnyPath], **options: object) -> JobStatus:
        """Send many fields as a job.

        Args:
            files: Pictures, zips, and folders, whose files are sent with their paths.
            options: `name`, `pixel_size`, `channels`, `allow_missing`, `plane`, `pattern`, `preset`.

        Raises:
            ServiceError: The service refuses them, or cannot be reached.
        """
        return _to_status(self._ask_json("POST", "/jobs", list(map(Path, files)), options))

    def job(self, identifier: str) -> JobStatus:
        """Return the state of a job.

        Raises:
            ServiceError: It does not exist or has expired, or the service cannot be reached.
        """
        return _to_status(self._ask_json("GET", f"/jobs/{quote(identifier, safe='')}"))

    def jobs(self) -> list[JobStatus]:
        """Return your jobs, the newest first."""
        return [_to_status(each) for each in self._ask_json("GET", "/jobs")]

    def wait(self, identifier: str, seconds: float = 3600.0, poll: float = 2.0) -> JobStatus:
        """Wait until a job is finished.

        Args:
            identifier: The id of the job.
            seconds: Longest wait.
            poll: Seconds between two looks.

        Raises:
            ServiceError: It takes longer, or the service cannot be reached.
        """
        ends = time.monotonic() + seconds
        while not (status := self.job(identifier)).is_finished:
            if time.monotonic() > ends:
                raise ServiceError(
                    f"Job {identifier} is not finished after {seconds:.0f} s: {status.done} of {status.total} fields. "
                    "Wait longer with `seconds`.",
                    Code.INCOMPLETE,
                )
            time.sleep(poll)
        return status

    def results(self, identifier: str) -> Predictions:
        """Return the predicted fields of a job, also of one that is running.

        Raises:
            ServiceError: No field is predicted yet, the job has expired, or the service cannot be reached.
        """
        from tempfile import TemporaryDirectory

        from lociscope.artifacts.predictions import Predictions

        _, data = self._ask("GET", f"/jobs/{quote(identifier, safe='')}/results.parquet")
        with TemporaryDirectory(prefix="lociscope-") as folder:
            path = Path(folder) / "results.parquet"
            path.write_bytes(data)
            return Predictions.read(path)

    def delete(self, identifier: str) -> None:
        """Delete the files and results of a job."""
        self._ask("DELETE", f"/jobs/{quote(identifier, safe='')}")

    def cancel(self, identifier: str) -> JobStatus:
        """Stop a job; its results are kept."""
        return _to_status(self._ask_json("POST", f"/jobs/{quote(identifier, safe='')}/cancel"))

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing: each request has its own connection."""

    def _ask_json(
        self, method: str, path: str, files: list[Path] | None = None, options: Mapping[str, object] | None = None
    ) -> Any:  # noqa: ANN401 - JSON
        return json.loads(self._ask(method, path, files, options)[1])

    def _ask(
        self, method: str, path: str, files: list[Path] | None = None, options: Mapping[str, object] | None = None
    ) -> tuple[int, bytes]:
        """Send a request, again while the service is busy; return its status and its body."""
        for number in range(MAX_TRIES):
            status, data, wait = self._send(method, path, files, options or {})
            if status != 503 or number == MAX_TRIES - 1:
                break
            time.sleep(min(MAX_WAIT, wait))
        if status >= 400:
            raise _to_error(status, data)
        return status, data

    def _send(
        self, method: str, path: str, files: list[Path] | None, options: Mapping[str, object]
    ) -> tuple[int, bytes, float]:
        parts = urlsplit(self.address)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        headers = {"accept": "application/json"} | ({"authorization": f"Bearer {self.key}"} if self.key else {})
        body: Iterable[bytes] | None = None
        if files is not None:
            form = _Form(files, options)
            headers |= {"content-type": f"multipart/form-data; boundary={form.edge}", "content-length": str(len(form))}
            body = iter(form)
        try:
            with closing(kind(parts.netloc, timeout=self.timeout)) as connection:
                try:
                    connection.request(method, parts.path.rstrip("/") + path, body, headers)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # refused before all was sent; the answer says why
                answer = connection.getresponse()
                wait = answer.headers.get("retry-after", "1")
                return answer.status, answer.read(), float(wait) if wait.isdigit() else 1.0
        except (OSError, http.client.HTTPException) as error:
            raise ServiceError(
                f"The service at {self.address} cannot be reached ({error}). Check the address, and that it runs.",
                Code.UNAVAILABLE,
            ) from error


class _Form:
    """A multipart form that is read from its files while it is sent.

    Raises:
        UsageError: There is no file.
    """

    def __init__(self, files: list[Path], options: Mapping[str, object]) -> None:
        self.edge = secrets.token_hex(16)
        named = [(name, path) for each in files for name, path in _list_files(each)]
        if not named:
            raise UsageError("There is no file to send. Name pictures, a zip or a folder.", code=Code.NOTHING_FOUND)
        texts = [
            f'--{self.edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in options.items()
            if value is not None
        ]
        self._parts: list[tuple[bytes, Path | None]] = [(text, None) for text in texts]
        for name, path in named:
            quoted = name.replace("\\", "\\\\").replace('"', '\\"').replace("\r", " ").replace("\n", " ")
            head = f'--{self.edge}\r\nContent-Disposition: form-data; name="files"; filename="{quoted}"\r\n\r\n'
            self._parts.append((head.encode(), path))
        self._end = f"--{self.edge}--\r\n".encode()

    def __len__(self) -> int:
        files = sum(path.stat().st_size + 2 for _, path in self._parts if path is not None)
        return sum(len(head) for head, _ in self._parts) + files + len(self._end)

    def __iter__(self) -> Iterator[bytes]:
        for head, path in self._parts:
            yield head
            if path is not None:
                with path.open("rb") as file:
                    while data := file.read(_STEP):
                        yield data
                yield b"\r\n"
        yield self._end


def _list_files(path: Path) -> list[tuple[str, Path]]:
    if not path.is_dir():
        return [(path.name, path)]
    return [(str(each.relative_to(path.parent)), each) for each in sorted(path.rglob("*")) if each.is_file()]


def _to_answer(said: Mapping[str, Any]) -> Answer:
    return Answer(
        said["id"], tuple(said["predicted"]), tuple(said["names"]), said["status"], said["sentence"],
        tuple(said["notes"]), tuple(said["probabilities"]), tuple(said["thresholds"]), said["bundle"]["sha256"],
    )  # fmt: skip


def _to_status(said: Mapping[str, Any]) -> JobStatus:
    return JobStatus(
        said["id"], said["name"], said["state"], said["total"], said["done"], said["failed"], said["expires"]
    )


def _to_error(status: int, data: bytes) -> ServiceError:
    try:
        said = json.loads(data)
        return ServiceError(str(said["error"]), Code(said.get("code", Code.REFUSED)), status)
    except (ValueError, TypeError, KeyError):
        return ServiceError(f"The service answered {status}: {data[:200]!r}. Try again.", Code.UNAVAILABLE, status)
