"""The predictor that is being served, and the next one that takes its place."""

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

from lociscope.bundle import DEFAULT_BUNDLE
from lociscope.predict.predictor import Predictor, open_bundle

POLL_SECONDS = 1.0
"""How often the registry is asked which bundle its alias names; it reads one small file."""

logger = logging.getLogger(__name__)


class Served:
    """The one predictor of a service; it may be replaced while requests run, and each keeps the one it began with.

    Args:
        named: Gives the folder of the bundle to serve now. Asked again every `POLL_SECONDS` once `start` was called.
        threads: Threads of one call of the network; 0 takes every core.

    Raises:
        LociscopeError: The first bundle cannot be opened or fails its self-test.
    """

    def __init__(self, named: Callable[[], Path], threads: int = 0) -> None:
        self._named = named
        self._threads = threads
        self._folder = named()
        self.predictor: Predictor = open_bundle(self._folder, threads)
        self._complaint = ""
        self._end = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="lociscope-promotions", daemon=True)

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

        A bundle that fails is tried again only after another was named.

        Returns:
            Whether another predictor is served from now on.
        """
        try:
            folder = self._named()
            if folder == self._folder:
                return False
            self._folder = folder
            predictor = open_bundle(folder, self._threads)
        except Exception as error:  # whatever it is, the old one stays, and the watch goes on
            if str(error) != self._complaint:
                logger.error("a promotion is not taken up, the old bundle stays: %s", error)
            self._complaint = str(error)
            return False
        self._complaint = ""
        self.predictor = predictor  # one assignment: a request sees the old one or the new one
        card = predictor.bundle.card
        logger.warning("now serving %s %s", card.name, card.version)
        return True

    def _watch(self) -> None:
        while not self._end.wait(POLL_SECONDS):
            self.look()


def of_settings(bundle: Path | None, registry: Path | None, workers: int) -> Served:
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
        return Served(lambda: folder, threads)
    from lociscope.registry import Registry

    return Served(Registry(registry).path, threads)
