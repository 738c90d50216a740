"""What `Client` and `AsyncClient` share around HTTPX: settings, failures, and methods made of the calls of the routes."""

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

from foldin.client.reading import Failure, Response
from foldin.errors import ConfigError, MissingExtraError

__all__ = ["API_KEY", "Connection", "as_method_of", "failure_of", "httpx_module", "response_of"]

API_KEY = "FOLDIN_API_KEY"  # environment variable of the key
M = TypeVar("M", bound=Callable[..., Any])


def httpx_module() -> Any:
    """HTTPX, imported at its first use.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import httpx
    except ImportError as error:
        raise MissingExtraError("httpx", "client", "foldin.client") from error
    return httpx


@dataclass(frozen=True)
class Connection:
    """Where and how to connect.

    Args:
        address: URL of the service, such as `https://recommend.example`; it may have a path, behind a proxy.
        api_key: API key; None for the environment variable `FOLDIN_API_KEY`, and for no key if that is not set.
        timeout: seconds to wait for each part of a response; a service waits up to 30 seconds for a list.
        connect_timeout: seconds to wait for a connection, and for a free one if all are in use.
        connections: largest number of connections, which are kept open between calls.

    Raises:
        ConfigError: the address is no URL of HTTP, the key is no printable ASCII, or a number is not positive.
    """

    address: str
    api_key: str | None = field(default=None, repr=False)
    timeout: float = 35.0
    connect_timeout: float = 5.0
    connections: int = 20

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.address)
            known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            known = False
        if not known or parts.query or parts.fragment:
            raise ConfigError(f"address: http://HOST or https://HOST was expected, not {self.address[:80]!r}")
        if parts.username is not None:  # the address is shown in errors
            raise ConfigError("address: it must not have a user or a password; keys are sent as `api_key`")
        for name in ("timeout", "connect_timeout", "connections"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name}: a positive number was expected, not {getattr(self, name)}")
        key = self.key
        if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
            raise ConfigError(f"api_key, or {API_KEY}: printable ASCII without spaces was expected")

    @property
    def key(self) -> str | None:
        """The API key; None for requests without one."""
        return self.api_key or os.environ.get(API_KEY) or None

    def url(self, target: str) -> str:
        """The URL of a path of the service."""
        return self.address.rstrip("/") + target

    def options(self) -> dict[str, Any]:
        """Arguments of `httpx.Client` and `httpx.AsyncClient`."""
        httpx = httpx_module()
        return {
            "headers": {} if self.key is None else {"authorization": f"Bearer {self.key}"},
            "timeout": httpx.Timeout(self.timeout, connect=self.connect_timeout, pool=self.connect_timeout),
            "limits": httpx.Limits(max_connections=self.connections, max_keepalive_connections=self.connections),
        }


def response_of(response: Any) -> Response:
    """A response of HTTPX."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Response(response.status_code, headers, response.content)


def failure_of(error: Exception) -> Failure:
    """An error of HTTPX for a request without a response."""
    httpx = httpx_module()
    unsent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    return Failure(f"{type(error).__name__} {error}".strip(), sent=not unsent)


def as_method_of(build: Callable[..., Any], method: M) -> M:
    """A method with the name, the description and the arguments of the function that builds its call."""
    signature = inspect.signature(build)
    self = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    answers = getattr(inspect.signature(build, follow_wrapped=False).return_annotation, "__args__", (Any,))
    method.__name__ = method.__qualname__ = build.__name__
    method.__doc__ = build.__doc__
    method.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[self, *signature.parameters.values()], return_annotation=answers[0]
    )
    return method
