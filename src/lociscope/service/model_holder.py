"""The predictor that is being served, and the next one that takes its place."""

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
"""How often the registry is asked which bundle its alias names; it reads one small file."""

MAX_WAIT = 10.0
"""Most seconds until a promoted bundle that could not be opened is tried again; the wait doubles up to it."""

logger = logging.getLogger(__name__)


class ModelHolder:
    """The one predictor of a service; it may be replaced while requests run, and each keeps the one it began with.

    Args:
        named: Gives the folder of the bundle to serve now. Asked again every `POLL_SECONDS` once `start` was called.
        threads: Threads of one call of the network; 0 takes every core.
        clock: Gives the time in s, by which the waits between two tries are measured.

    Raises:
        LociscopeError: The first bundle cannot be opened or fails its self-test.
    """

    def __init__(
        self, named: Callable[[], Path], threads: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._named = named
        self._threads = threads
        self._clock = clock
        self._folder = named()
        self._promoted: Path | None = self._folder
        self.predictor: Predictor = open_bundle(self._folder, threads)
        self._wait = self._again = 0.0
        self._complaint = ""
        self._end = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="lociscope-promotions", daemon=True)

    @property
    def version(self) -> str:
        """What is served, as a registry names its versions."""
        bundle = self.predictor.bundle
        return make_version_name(bundle.card.name, bundle.card.version, bundle.sha256)

    @property
    def promoted(self) -> str | None:
        """What ought to be served, named likewise; None where the registry cannot be read."""
        promoted = self._promoted
        if promoted is None:
            return None
        return self.version if promoted == self._folder else promoted.name

    @property
    def pending(self) -> bool:
        """Whether another bundle is promoted than is served, or nothing can be said about that."""
        return self._promoted != self._folder

    def start(self) -> None:
        """Begins to look for promotions, in a thread of its own."""
        self._watcher.start()

    def stop(self) -> None:
        """Ends looking."""
        self._end.set()
        if self._watcher.is_alive():
            self._watcher.join()

    def look(self) -> bool:
        """Takes up the bundle that is named now, if it is another one and proves itself; else keeps the old one.

        A bundle that cannot be opened, for example because its files are still being copied, is tried again after 1, 2,
        4 … `MAX_WAIT` s; one that is named newly is tried at once.

        Returns:
            Whether another predictor is served from now on.
        """
        try:
            folder = self._ask()
            if folder == self._folder or self._clock() < self._again:
                return False
            predictor = open_bundle(folder, self._threads)
        except Exception as error:  # whatever it is, the old one stays, and the watch continues
            self._complain(str(error))
            return False
        self.predictor, self._folder = predictor, folder  # a request sees the old predictor or the new one
        self._complaint = ""
        card = predictor.bundle.card
        logger.warning("now serving %s %s", card.name, card.version)
        return True

    def _ask(self) -> Path:
        try:
            folder = self._named()
        except Exception:
            self._promoted = None
            raise
        if folder != self._promoted:
            self._promoted, self._wait, self._again = folder, 0.0, 0.0
        if folder == self._folder:
            self._complaint = ""
        return folder

    def _complain(self, reason: str) -> None:
        self._wait = min(MAX_WAIT, max(POLL_SECONDS, 2 * self._wait))
        self._again = self._clock() + self._wait
        if reason != self._complaint:
            logger.error("a promotion is not taken up, the old bundle stays, and it is tried again: %s", reason)
        self._complaint = reason

    def _watch(self) -> None:
        while not self._end.wait(POLL_SECONDS):
            self.look()


def create_model_holder(bundle: Path | None, registry: Path | None, workers: int) -> ModelHolder:
    """What is to be served.

    Args:
        bundle: A bundle's folder, or None.
        registry: A registry's folder, whose alias `production` is followed, or None.
        workers: Calls of the network that run at once; each takes its share of the cores.

    Raises:
        LociscopeError: There is no such bundle or registry, or it fails its self-test.
    """
    threads = max(1, (os.cpu_count() or 1) // workers)
    if registry is None:
        folder = DEFAULT_BUNDLE if bundle is None else bundle
        return ModelHolder(lambda: folder, threads)
    followed = Registry(registry)
    followed.path()  # names what is missing before the first bundle is opened
    return ModelHolder(followed.find_promoted, threads)
