"""A writer that is killed again and again, and what must be true of its events afterwards."""

import signal
import subprocess
import sys
import time

import numpy as np

from foldin.serve import Event, EventStore

__all__ = ["killed_while_writing"]

PER_BATCH = 5
WRITER = """
import sys
from foldin.serve import Event, EventStore, connect
store = EventStore(connect(sys.argv[1]))
for at in range(int(sys.argv[2]), 10**9):
    store.append([Event("p", f"i{at}-{n}", at) for n in range(5)], key=str(at))
    print(at, flush=True)
"""


def killed_while_writing(store: EventStore, url: str, rounds: int, seed: int = 0) -> tuple[int, int]:
    """(batches acknowledged, events kept) after so many SIGKILLs at random moments of writing.

    After each, the writer goes on from the last batch that it knows of, which it sends again.
    """
    rng, last = np.random.default_rng(seed), 0
    for _ in range(rounds):
        command = [sys.executable, "-c", WRITER, url, str(last)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(float(rng.uniform(0.0, 0.1)))
        process.send_signal(signal.SIGKILL)
        last = max([last, *(int(line) for line in process.stdout if line.strip().isdigit())])
        process.stdout.close()
        process.wait()
    found = [(one.time, one.item) for one in store.history("p")]
    if len(found) != len(set(found)):
        raise AssertionError("an event is there twice")
    missing = {(at, f"i{at}-{n}") for at in range(last + 1) for n in range(PER_BATCH)} - set(found)
    if missing:
        raise AssertionError(f"acknowledged and lost: {sorted(missing)[:5]}")
    if len(found) % PER_BATCH:
        raise AssertionError("a batch is there in part")
    # The batches that nobody heard of are sent again: nothing is doubled.
    for at in range(len(found) // PER_BATCH + 1):
        store.append([Event("p", f"i{at}-{n}", at) for n in range(PER_BATCH)], key=str(at))
    again = [(one.time, one.item) for one in store.history("p")]
    if len(again) != len(set(again)) or not set(found) <= set(again):
        raise AssertionError("sent again, an event was doubled or lost")
    return last + 1, len(found)
