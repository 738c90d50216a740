"""Work that a thread does again and again while the service runs."""

import json
import logging
import threading
from collections.abc import Callable

__all__ = ["Repeating"]

logger = logging.getLogger("foldin.serve")


class Repeating:
    """A thread that does some work after each pause.

    An error is logged once until the work succeeds again, and ends nothing.

    Args:
        work: what is done.
        seconds: pause before each time.
        name: name of what is done, for the log.
    """

    def __init__(self, work: Callable[[], object], *, seconds: float, name: str) -> None:
        self.work, self.seconds, self.name = work, seconds, name
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._away = False

    def start(self) -> None:
        """Begin."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name=f"foldin-{self.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, after the work that is under way."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def once(self) -> None:
        """Do the work once; an error is logged."""
        try:
            self.work()
            self._away = False
        except Exception as error:  # the database is away, or a bug: requests are not affected
            if not self._away:
                logger.warning(json.dumps({self.name: "not read", "error": str(error)}))
            self._away = True

    def _run(self) -> None:
        while not self._stop.wait(self.seconds):
            self.once()
