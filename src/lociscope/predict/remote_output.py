"""An output behind a URL: its files are made in a temporary folder, and each complete one is stored at once."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lociscope.errors import Code, LociscopeError
from lociscope.predict.output import OutputOptions, PredictionOutput
from lociscope.predict.shards import NAME, read_manifest, write_manifest
from lociscope.storage.remote import RemotePath, read_bytes, remove, write_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lociscope.artifacts.bundle import Bundle
    from lociscope.artifacts.predictions import Predictions
    from lociscope.images.discovery.sources import Failure


@contextmanager
def open_output(bundle: Bundle, out: Path, options: OutputOptions, *, tta: bool = False) -> Iterator[PredictionOutput]:
    """Open the output of a bundle, a local file or a `RemotePath`, and keep other processes from writing a local one.

    Raises:
        LociscopeError: Another process writes it, or its URL may not be read.
    """
    if not isinstance(out, RemotePath):
        output = PredictionOutput.create(bundle, out, options, tta=tta)
        with output.lock():
            yield output
        return
    with tempfile.TemporaryDirectory(prefix="lociscope-") as folder:
        plain = PredictionOutput.create(bundle, Path(folder) / out.name, options, tta=tta)
        remote = RemoteOutput(plain.out, options, plain.identity, plain.trainings, out.parent)
        remote.fetch()
        yield remote


@dataclass(frozen=True, slots=True)
class RemoteOutput(PredictionOutput):
    """The files of an output behind a URL.

    A shard is stored before the manifest that lists it, so that the manifest never lists one that is not complete.
    There is no lock: two calls that write one URL at the same time overwrite each other's manifest.

    Attributes:
        parent: The folder of the output.
    """

    parent: Path = field(default_factory=Path)

    def fetch(self) -> None:
        """Copy what an earlier call stored: the finished table with its record, and the shards in the manifest.

        Raises:
            LociscopeError: A file may not be read, or the manifest is that of another bundle.
        """
        self._fetch(self.out)
        self._fetch(self.record)
        if self._fetch(self.folder / NAME):
            manifest = read_manifest(self.folder)
            self.check_same(manifest)
            for name in manifest.get("shards", {}):
                self._fetch(self.folder / Path(name).name)

    def prepare(self) -> None:
        """Store a manifest, so that a location that may not be written is reported before the work."""
        PredictionOutput.prepare(self)
        shards = read_manifest(self.folder).get("shards", {})
        self._store(write_manifest(self.folder, self.identity, shards))

    def write_part(self, part: Predictions, fingerprints: Mapping[str, str]) -> Path:
        """Write a part and store it, then the manifest that lists it."""
        path = PredictionOutput.write_part(self, part, fingerprints)
        self._store(path)
        self._store(self.folder / NAME)
        return path

    def write_table(self, table: Predictions, fingerprints: Mapping[str, str]) -> None:
        """Write the finished table and its record, and store both."""
        PredictionOutput.write_table(self, table, fingerprints)
        self._store(self.out)
        self._store(self.record)

    def close(self, failures: Sequence[Failure]) -> None:
        """Store the failures, and remove the shards and their manifest."""
        shards = read_manifest(self.folder).get("shards", {})
        begun = self.folder.exists()
        PredictionOutput.close(self, failures)
        if failures:
            self._store(self.failures)
        else:
            remove(self._locate(self.failures))
        if begun:
            for name in (NAME, *shards):  # without the manifest, what is left of an interrupted removal does not count
                remove(self._locate(self.folder / name))

    def _locate(self, path: Path) -> str:
        return str(self.parent / path.relative_to(self.out.parent))

    def _fetch(self, path: Path) -> bool:
        """Copy a file, and return whether there is one."""
        with suppress(_Missing):
            data = _read(self._locate(path))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            return True
        return False

    def _store(self, path: Path) -> None:
        write_bytes(self._locate(path), path.read_bytes())


class _Missing(Exception):
    """There is no file behind the URL."""


def _read(url: str) -> bytes:
    try:
        return read_bytes(url)
    except LociscopeError as error:
        if error.code == Code.NOT_FOUND:
            raise _Missing from error
        raise
