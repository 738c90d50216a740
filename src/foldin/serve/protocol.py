"""HTTP on a connection, where the head and the body of a response are sent together.

uvicorn sends each by itself, and to send, which wakes whoever reads, takes as long as most of what Python does for a list.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

__all__ = ["JoiningProtocol", "JoiningTransport"]


class JoiningTransport:
    """A transport whose writes in one step of the event loop are one write, at the loop's next step.

    Args:
        inner: the transport that writes, and does all else.
        loop: its event loop.
    """

    def __init__(self, inner: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._inner, self._loop = inner, loop
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Write data, after what waits."""
        if not self._parts:
            self._loop.call_soon(self.flush)
        self._parts.append(data)

    def flush(self) -> None:
        """Write what waits."""
        if self._parts:
            parts, self._parts = self._parts, []
            self._inner.write(b"".join(parts))

    def close(self) -> None:
        """Close the connection when everything is written."""
        self.flush()
        self._inner.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class JoiningProtocol(AutoHTTPProtocol):  # type: ignore[misc,valid-type]
    """uvicorn's protocol on such a transport."""

    def connection_made(self, transport: Any) -> None:
        """Begin with a connection."""
        super().connection_made(JoiningTransport(transport, asyncio.get_running_loop()))
