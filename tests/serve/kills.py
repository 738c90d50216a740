"""A service that is killed again and again while clients write, and what must be true of their events afterwards."""

import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np

from foldin.serve import EventStore

__all__ = ["Serving", "killed_while_writing"]

PER_BATCH, WRITERS = 5, 4


@dataclass
class Writer:
    """Sends one batch after the other; what was not acknowledged it sends again."""

    user: str
    next: int = 0
    acknowledged: list[int] = field(default_factory=list)

    def batch(self, at: int) -> dict[str, object]:
        return {"events": [{"user": self.user, "item": f"i{at}-{n}", "time": at} for n in range(PER_BATCH)]}

    def write(self, address: str, until: int | None = None) -> None:
        with httpx.Client(base_url=address, timeout=10) as client:
            while until is None or self.next < until:
                headers = {"Idempotency-Key": f"{self.user}-{self.next}"}
                try:
                    response = client.post("/v1/events", json=self.batch(self.next), headers=headers)
                except httpx.TransportError:
                    return  # the service is gone; nobody knows what became of this one
                if response.status_code != 200:
                    raise AssertionError(f"an answer {response.status_code}: {response.text}")
                self.acknowledged.append(self.next)
                self.next += 1


class Serving:
    """A serving process."""

    def __init__(self, run: Path, url: str, *more: str) -> None:
        command = [sys.executable, "-m", "foldin", "serve", str(run), "--no-keys", "--port", "0", "--rate", "1e9"]
        self.process = subprocess.Popen([*command, "--events", url, *more], stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        found = (re.search(r"http://[\d.:]+", line) for line in self.process.stderr)
        self.address = next(one[0] for one in found if one)
        self._drain = threading.Thread(target=self.process.stderr.read)
        self._drain.start()

    def end(self, how: signal.Signals) -> None:
        self.process.send_signal(how)
        self.process.wait(30)
        self._drain.join()
        assert self.process.stderr is not None
        self.process.stderr.close()


def killed_while_writing(store: EventStore, run: Path, url: str, rounds: int, seed: int = 0) -> tuple[int, int]:
    """(events acknowledged, events kept) after so many SIGKILLs at random moments of writing over HTTP."""
    rng, writers = np.random.default_rng(seed), [Writer(f"p{at}") for at in range(WRITERS)]
    for _ in range(rounds):
        serving = Serving(run, url)
        threads = [threading.Thread(target=one.write, args=(serving.address,)) for one in writers]
        for thread in threads:
            thread.start()
        begun = sum(len(one.acknowledged) for one in writers)
        until = time.monotonic() + 30
        while sum(len(one.acknowledged) for one in writers) < begun + WRITERS and time.monotonic() < until:
            time.sleep(0.002)  # a machine may be slow to begin
        time.sleep(float(rng.uniform(0.05, 0.4)))
        serving.end(signal.SIGKILL)
        for thread in threads:
            thread.join()
    acknowledged, kept = PER_BATCH * sum(len(one.acknowledged) for one in writers), 0
    for one in writers:
        found = [(event.time, event.item) for event in store.history(one.user)]
        kept += len(found)
        if len(found) != len(set(found)):
            raise AssertionError(f"{one.user}: an event is there twice")
        missing = {(at, f"i{at}-{n}") for at in one.acknowledged for n in range(PER_BATCH)} - set(found)
        if missing:
            raise AssertionError(f"{one.user}: acknowledged and lost: {sorted(missing)[:5]}")
        if len(found) % PER_BATCH:
            raise AssertionError(f"{one.user}: a batch is there in part")
    # The batches that nobody heard of are sent again: nothing is doubled.
    serving = Serving(run, url)
    for one in writers:
        one.write(serving.address, until=one.next + 1)
        again = [(event.time, event.item) for event in store.history(one.user)]
        if len(again) != len(set(again)) or len(again) != PER_BATCH * one.next:
            raise AssertionError(f"{one.user}: sent again, an event was doubled or lost")
    serving.end(signal.SIGTERM)
    return acknowledged, kept
