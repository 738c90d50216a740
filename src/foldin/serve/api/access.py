"""Access control: keys with scopes, or clients on this machine without keys; and rate limits."""

import functools
import ipaddress
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from foldin.serve.limits import Buckets, Limits, TokenBuckets
from foldin.serve.storage.keys import Key, KeyRing

__all__ = ["Access"]


@functools.lru_cache(maxsize=1024)
def _is_local(host: str, site: str, origin: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        from_there = origin != "" and urlsplit(origin).netloc != host  # the origin of a file or a sandbox is "null"
    except ValueError:
        return False
    try:
        local = ipaddress.ip_address(name).is_loopback
    except ValueError:
        local = name == "localhost"
    return local and site in ("same-origin", "none") and not from_there


def _from_here(request: Request) -> None:
    """Without keys, refuse requests that pages of other origins make through a browser on this machine."""
    headers = request.headers
    if not _is_local(headers.get("host", ""), headers.get("sec-fetch-site", "same-origin"), headers.get("origin", "")):
        raise HTTPException(
            403, "without keys, only clients on this machine and pages of this service may send requests"
        )


def _unknown_key(*, sent: bool) -> HTTPException:
    """The error for a request without a key, or with one that is in no database. Source: RFC 6750, section 3."""
    if not sent:
        return HTTPException(401, "a key is needed: Authorization: Bearer …", {"www-authenticate": "Bearer"})
    return HTTPException(
        401,
        "the key that was sent is wrong: it was mistyped, or revoked",
        {"www-authenticate": 'Bearer error="invalid_token"'},
    )


def _lacks(key: Key, scopes: Sequence[str]) -> HTTPException:
    """The error for a key with other scopes than those of which a request needs one."""
    return HTTPException(
        403,
        f"the key {key.name!r} lacks the scope {' or '.join(map(repr, scopes))}; it has {', '.join(map(repr, key.scopes))}",
        {"www-authenticate": f'Bearer error="insufficient_scope", scope="{scopes[0]}"'},
    )


class Access:
    """The check of every request.

    Args:
        keys: keys of the clients; None allows every client on this machine.
        limits: rate limits of each key.
        buckets: what is left of them; those of this process alone if omitted.
    """

    def __init__(self, keys: KeyRing | None, limits: Limits, buckets: Buckets | None = None) -> None:
        self._keys, self._buckets = keys, buckets or TokenBuckets(limits.rate, limits.burst)

    def needs(self, *scopes: str) -> Callable[[Request], Awaitable[None]]:
        """A check of one request, which uses one token: 401 without a key, 403 without any of the scopes, 429 beyond the rate."""
        needed = frozenset(scopes)

        async def check(request: Request) -> None:
            name = "anybody"
            if self._keys is None:
                _from_here(request)
            else:
                kind, _, secret = request.headers.get("authorization", "").partition(" ")
                key = None
                if kind.lower() == "bearer" and secret:
                    # Past the event loop, requests would come back one by one, and no two of them would share a batch.
                    key = self._keys.fresh(secret.strip()) or await run_in_threadpool(self._keys.find, secret.strip())
                if key is None:
                    raise _unknown_key(sent=bool(secret))
                if needed.isdisjoint(key.scopes):
                    raise _lacks(key, scopes)
                name = key.name
            request.state.log = {"key": name}
            self.spend(name, 1)

        return check

    def after(self, *scopes: str) -> list[Any]:
        """`needs` as the dependency of a route or a router."""
        return [Depends(self.needs(*scopes))]

    def spend(self, key: str, tokens: int) -> None:
        """Use further tokens of a key's rate limit; 429 if too few are left."""
        pause = self._buckets.take(key, tokens)
        if pause > 0:
            raise HTTPException(429, "too many requests with this key", {"retry-after": str(int(pause) + 1)})
