"""The predictor in use, and its replacement after a promotion."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from lociscope.artifacts.bundle import DEFAULT_BUNDLE
from lociscope.predict.predictor import Predictor, open_bundle
from lociscope.registry.model_registry import Registry, make_version_name

POLL_SECONDS = 1.0
"""Seconds between two checks of the registry, which read one small file."""

MAX_WAIT = 10.0
"""Longest wait until a promoted bundle that could not be opened is tried again, s; the wait doubles up to it."""

logger = logging.getLogger(__name__)


class ModelHolder:
    """Holds the predictor of a service, which may be replaced while requests run; each request keeps its predictor.

    Args:
        find_folder: Returns the folder of the bundle to serve; called every `POLL_SECONDS` after `start`.
        threads: Number of threads per call of the network; 0 uses every core.
        clock: Returns the time in s that measures the waits between two tries.

    Raises:
        LociscopeError: The first bundle cannot be opened or fails its self-test.
    """

    def __init__(
        self, find_folder: Callable[[], Path], threads: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._find_folder = find_folder
        self._threads = threads
        self._clock = clock
        self._folder = find_folder()
        self._promoted: Path | None = self._folder
        self.predictor: Predictor = open_bundle(self._folder, threads)
        self._wait = self._retry_at = 0.0
        self._failure = ""
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="lociscope-promotions", daemon=True)

    @property
    def version(self) -> str:
        """Return the bundle in use, as a registry names its versions."""
        bundle = self.predictor.bundle
        return make_version_name(bundle.card.name, bundle.card.version, bundle.sha256)

    @property
    def promoted(self) -> str | None:
        """Return the promoted bundle, named likewise; None if the registry cannot be read."""
        promoted = self._promoted
        if promoted is None:
            return None
        return self.version if promoted == self._folder else promoted.name

    @property
    def is_pending(self) -> bool:
        """Return whether another bundle is promoted than is in use, or the registry cannot be read."""
        return self._promoted != self._folder

    def start(self) -> None:
        """Check for promotions in a separate thread from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Stop checking for promotions."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()

    def refresh(self) -> bool:
        """Open the promoted bundle if it is another one and passes its self-test; otherwise keep the old one.

        A bundle that cannot be opened, for example because its files are still being copied, is tried again after 1, 2,
        4 … `MAX_WAIT` s; a newly promoted bundle is tried at once.

        Returns:
            Whether the predictor was replaced.
        """
        try:
            folder = self._find_promoted()
            if folder == self._folder or self._clock() < self._retry_at:
                return False
            predictor = open_bundle(folder, self._threads)
        except Exception as error:  # whatever the error, the old one stays in use
            self._record_failure(str(error))
            return False
        self.predictor, self._folder = predictor, folder  # a request sees the old predictor or the new one
        self._failure = ""
        card = predictor.bundle.card
        logger.warning("now serving %s %s", card.name, card.version)
        return True

    def _find_promoted(self) -> Path:
        try:
            folder = self._find_folder()
        except Exception:
            self._promoted = None
            raise
        if folder != self._promoted:
            self._promoted, self._wait, self._retry_at = folder, 0.0, 0.0
        if folder == self._folder:
            self._failure = ""
        return folder

    def _record_failure(self, reason: str) -> None:
        self._wait = min(MAX_WAIT, max(POLL_SECONDS, 2 * self._wait))
        self._retry_at = self._clock() + self._wait
        if reason != self._failure:
            logger.error("a promoted bundle cannot be used, the old one stays, and it is tried again: %s", reason)
        self._failure = reason

    def _poll(self) -> None:
        while not self._end.wait(POLL_SECONDS):
            self.refresh()


def share_cores(workers: int) -> int:
    """Return the number of threads of each of so many calls of the network at once."""
    return max(1, (os.cpu_count() or 1) // workers)


def create_model_holder(bundle: Path | None, registry: Path | None, workers: int) -> ModelHolder:
    """Return the holder of the model to serve.

    Args:
        bundle: The folder of a bundle, or None.
        registry: The folder of a registry whose alias `production` is served, or None.
        workers: Number of calls of the network at once; each uses its share of the cores.

    Raises:
        LociscopeError: The bundle or registry does not exist, or the bundle fails its self-test.
    """
    threads = share_cores(workers)
    if registry is None:
        folder = DEFAULT_BUNDLE if bundle is None else bundle
        return ModelHolder(lambda: folder, threads)
    followed = Registry(registry)
    followed.path()  # reports what is missing before the first bundle is opened
    return ModelHolder(followed.find_promoted, threads)
