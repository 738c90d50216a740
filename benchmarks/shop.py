"""What `loop.py` replays a shop with: its event store, a service with two runs, and a client of it; the service can be killed."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import polars as pl
from serve_load import serving

from foldin import load
from foldin.client import Client, Event, Retries

__all__ = ["KEY", "Shop"]

KEY = ["user", "item", "time", "kind"]  # what tells two events of the store from each other
CHUNK = 20  # events in a request, at most
PATIENCE = 120.0  # seconds in which the service must take up a new generation


class Counted(httpx.HTTPTransport):
    """The network; `failed` counts the requests that had no response, or that the service could not handle."""

    failed = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        try:
            response = super().handle_request(request)
        except httpx.TransportError:
            self.failed += 1
            raise
        self.failed += response.status_code >= 500
        return response


class Shop:
    """A service of the runs `fresh` and `frozen`, at one port however often it is started.

    Args:
        folder: where the event store and the runs are.
        threads: of each process that is started.
        fitting: arguments of `foldin fit` in every cycle.
    """

    def __init__(self, folder: Path, threads: int, fitting: Sequence[str]) -> None:
        self.folder, self.fitting = folder, fitting
        self.command = ["env", f"OMP_NUM_THREADS={threads}", sys.executable]
        self.store = f"sqlite:///{folder}/events.db"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.network = Counted()
        patient = Retries(attempts=60, first_pause=0.1, longest_pause=2.0)
        self.client = Client(f"http://127.0.0.1:{self.port}", retries=patient, timeout=60, transport=self.network)
        self._stop: Any = None
        self._process: subprocess.Popen[str]

    def foldin(self, *words: object) -> dict[str, Any]:
        """What a command prints with `--json`; exit code 3, not swapped, is no failure."""
        command = [*self.command, "-m", "foldin", *map(str, words), "--json"]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode not in (0, 3):
            raise SystemExit(f"{' '.join(command)}:\n{run.stderr[-3000:]}")
        found: dict[str, Any] = json.loads(run.stdout)
        return found

    def start(self) -> None:
        """Start the service; returns once it listens."""
        runs = [str(self.folder / name) for name in ("fresh", "frozen")]
        command = [*self.command, "-m", "foldin", "serve", *runs, "--no-keys", "--port", str(self.port)]
        self._stop = serving([*command, "--events", self.store, "--rate", "1e9"])
        self._process, _ = self._stop.__enter__()

    def stop(self) -> None:
        """End the service, which may have been killed."""
        self._stop.__exit__(None, None, None)

    def fit(self) -> dict[str, Any]:
        """One cycle: the run `fresh` is compared with what the newest events teach, and replaced."""
        return self.foldin("fit", self.store, *self.fitting, "--all", "--replace", self.folder / "fresh")

    def items(self, run: str) -> set[str]:
        """The items of a run's catalog."""
        return set(load(self.folder / run).catalog.ids)

    def seconds_until_served(self) -> float | None:
        """Seconds until the service has taken up the newest generation of `fresh`; None if it has not after two minutes."""
        digest = str(json.loads((self.folder / "fresh" / "run.json").read_text())["digest"])
        begun = time.perf_counter()
        while time.perf_counter() - begun < PATIENCE:
            found = {one.name: one.serving or "" for one in self.client.models().deployments}
            if found["fresh"] and digest.startswith(found["fresh"]):
                return time.perf_counter() - begun
            time.sleep(0.05)
        return None

    def post(self, events: pl.DataFrame) -> int:
        """Post events in their order, in requests of up to 20; returns how many the service acknowledged as stored."""
        return sum(self._sent(chunk) for chunk in _chunks(events))

    def post_and_kill(self, events: pl.DataFrame) -> tuple[int, dict[str, int]]:
        """As `post`, with a SIGKILL after half of the requests: (number of events acknowledged as stored, what happened).

        The next request is sent to the dead service, which is started again meanwhile, until it is answered. The last request
        before the kill is sent once more, as by a client whom its answer did not reach.
        """
        chunks = _chunks(events)
        half = len(chunks) // 2
        stored = sum(self._sent(chunk) for chunk in chunks[:half])
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        failed, retried = self.network.failed, 0
        with ThreadPoolExecutor(1) as pool:
            started = pool.submit(self._start_again)
            for chunk in chunks[half:]:
                before = self.network.failed
                stored += self._sent(chunk)
                retried += self.network.failed > before
            started.result()
        twice = sum(self.client.add_events(chunk).accepted for chunk in chunks[max(0, half - 1) : half])
        return stored, {
            "requests_before": half,
            "requests_after": len(chunks) - half,
            "requests_retried": retried,
            "attempts_failed": self.network.failed - failed,
            "stored_twice": twice,
        }

    def _sent(self, chunk: Sequence[Event]) -> int:
        receipt = self.client.add_events(chunk)
        return receipt.accepted + receipt.duplicates

    def _start_again(self) -> None:
        self.stop()
        self.start()

    @contextmanager
    def asked(self, users: Sequence[str]) -> Iterator[dict[str, int]]:
        """Lists of `fresh` asked for one after the other in a thread, without retries: numbers of answered and failed ones."""
        counts, over = {"answered": 0, "failed": 0}, threading.Event()
        once = Client(self.client.connection.address, retries=Retries(attempts=1))

        def ask() -> None:
            while not over.is_set():
                for user in users:
                    try:
                        once.recommend(user, model="fresh")
                        counts["answered"] += 1
                    except Exception:  # counted, and shown in the result
                        counts["failed"] += 1
                    if over.wait(0.02):
                        return

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            yield counts
        finally:
            over.set()
            thread.join()
            once.close()


def _chunks(events: pl.DataFrame) -> list[list[Event]]:
    """Events in requests: of 20, or of a quarter where there are fewer than 80, so that a kill is in their midst."""
    rows = [Event(user, item, at, kind) for user, item, at, kind in events.select(KEY).iter_rows()]
    size = max(1, min(CHUNK, len(rows) // 4))
    return [rows[at : at + size] for at in range(0, len(rows), size)]
