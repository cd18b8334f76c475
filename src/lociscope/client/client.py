"""The client of one service."""

from __future__ import annotations

import http.client
import json
import os
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from lociscope.client.answers import Answer, JobStatus, ServiceError, to_answer, to_error, to_status
from lociscope.client.form import Form
from lociscope.errors import Code, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from lociscope.artifacts.predictions import Predictions
    from lociscope.storage.paths import AnyPath

MAX_TRIES = 6
"""Number of times that a request is sent while the service is busy."""

MAX_WAIT = 60.0
"""Longest wait between two of them, s; the service names the seconds in `Retry-After`."""


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
        return to_answer(said)

    def send(self, files: Iterable[AnyPath], **options: object) -> JobStatus:
        """Send many fields as a job.

        Args:
            files: Pictures, zips, and folders, whose files are sent with their paths.
            options: `name`, `pixel_size`, `channels`, `allow_missing`, `plane`, `pattern`, `preset`.

        Raises:
            ServiceError: The service refuses them, or cannot be reached.
        """
        return to_status(self._ask_json("POST", "/jobs", list(map(Path, files)), options))

    def job(self, identifier: str) -> JobStatus:
        """Return the state of a job.

        Raises:
            ServiceError: It does not exist or has expired, or the service cannot be reached.
        """
        return to_status(self._ask_json("GET", f"/jobs/{quote(identifier, safe='')}"))

    def jobs(self) -> list[JobStatus]:
        """Return your jobs, the newest first."""
        return [to_status(each) for each in self._ask_json("GET", "/jobs")]

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
        return to_status(self._ask_json("POST", f"/jobs/{quote(identifier, safe='')}/cancel"))

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
            raise to_error(status, data)
        return status, data

    def _send(
        self, method: str, path: str, files: list[Path] | None, options: Mapping[str, object]
    ) -> tuple[int, bytes, float]:
        parts = urlsplit(self.address)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        headers = {"accept": "application/json"} | ({"authorization": f"Bearer {self.key}"} if self.key else {})
        body: Iterable[bytes] | None = None
        if files is not None:
            form = Form(files, options)
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
