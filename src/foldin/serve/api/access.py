"""Who may call: keys with scopes, or without keys this machine alone; and how often."""

import functools
import ipaddress
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from foldin.serve.limits import Limits, TokenBuckets
from foldin.serve.storage.keys import KeyRing

__all__ = ["Access"]


@functools.lru_cache(maxsize=1024)
def _is_local(host: str, site: str, origin: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        from_there = origin != "" and urlsplit(origin).netloc != host  # a file's or a sandbox's is "null"
    except ValueError:
        return False
    try:
        local = ipaddress.ip_address(name).is_loopback
    except ValueError:
        local = name == "localhost"
    return local and site in ("same-origin", "none") and not from_there


def _from_here(request: Request) -> None:
    """Without keys the browser on this machine is the only guard: pages of others must not call through it."""
    headers = request.headers
    if not _is_local(headers.get("host", ""), headers.get("sec-fetch-site", "same-origin"), headers.get("origin", "")):
        raise HTTPException(403, "without keys, calls come from this machine and its own pages alone")


class Access:
    """The check in front of every call.

    Args:
        keys: who may call; None lets everybody on this machine.
        limits: how often.
    """

    def __init__(self, keys: KeyRing | None, limits: Limits) -> None:
        self._keys, self._buckets = keys, TokenBuckets(limits.rate, limits.burst)

    def needs(self, scope: str) -> Callable[[Request], Awaitable[None]]:
        """A check of one call, which takes a token: 401 without a key, 403 without the scope, 429 without a token."""

        async def check(request: Request) -> None:
            name = "anybody"
            if self._keys is None:
                _from_here(request)
            else:
                kind, _, secret = request.headers.get("authorization", "").partition(" ")
                key = None
                if kind.lower() == "bearer" and secret:
                    key = await run_in_threadpool(self._keys.find, secret.strip())
                if key is None:
                    raise HTTPException(401, "a key is needed: Authorization: Bearer …", {"www-authenticate": "Bearer"})
                if scope not in key.scopes:
                    raise HTTPException(403, f"the key {key.name!r} has not the scope {scope!r}")
                name = key.name
            request.state.log = {"key": name}
            self.spend(name, 1)

        return check

    def after(self, scope: str) -> list[Any]:
        """`needs` as the dependency of a route or a router."""
        return [Depends(self.needs(scope))]

    def spend(self, key: str, tokens: int) -> None:
        """Take further tokens of a key; 429 where there are not so many."""
        pause = self._buckets.take(key, tokens)
        if pause > 0:
            raise HTTPException(429, "too many requests with this key", {"retry-after": str(int(pause) + 1)})
