"""Clients of the service that write and read until they are stopped."""

import ssl
import threading
import time
from dataclasses import dataclass, field

import httpx

from foldin.client import Client, ClientError, Retries
from tests.deploy.starting import until

__all__ = ["ITEMS", "Traffic"]

DAY = 86_400
ITEMS = 20
PATIENT = Retries(attempts=100, longest_pause=1.0)  # what a restart takes on a slow machine


@dataclass
class Traffic:
    """Clients that write and read without a pause, each request until it has succeeded."""

    address: str
    key: str
    trust: ssl.SSLContext
    acknowledged: dict[str, list[int]] = field(default_factory=dict)
    lists: int = 0
    failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(f"w{at}",)) for at in range(2)]
        self._threads.append(threading.Thread(target=self._read))

    def client(self) -> Client:
        transport = httpx.HTTPTransport(verify=self.trust)
        return Client(self.address, api_key=self.key, retries=PATIENT, transport=transport)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(90)
            assert not thread.is_alive()

    def goes_on(self) -> None:
        """Wait until each client has had further requests answered."""
        before = ({user: len(times) for user, times in self.acknowledged.items()}, self.lists)
        until(
            lambda: (
                bool(self.failures)
                or (
                    self.lists >= before[1] + 5
                    and all(len(self.acknowledged[user]) >= count + 5 for user, count in before[0].items())
                )
            ),
            "requests are answered again",
        )
        assert self.failures == []

    def _write(self, user: str) -> None:
        times = self.acknowledged.setdefault(user, [])
        at = int(time.time()) - 30 * DAY
        with self.client() as client:
            while not self._stop.is_set():
                at += 1
                try:
                    client.add_event(user, f"i{at % ITEMS:02d}", time=at)
                except ClientError as error:
                    self.failures.append(repr(error))
                    return
                times.append(at)

    def _read(self) -> None:
        with self.client() as client:
            while not self._stop.is_set():
                try:
                    assert client.recommend("u001", k=5).ids
                except (ClientError, AssertionError) as error:
                    self.failures.append(repr(error))
                    return
                self.lists += 1
                time.sleep(0.02)
