"""Errors of the client.

    FoldinError
    └── ClientError               a call failed
        ├── NoResponseError       no response arrived: no connection, a connection that broke, or a time limit
        ├── AnswerError           a response is not what `/v1` describes
        └── ResponseError         the service refused or failed; has the status and the problem
            ├── InvalidRequestError    400, 413, 422 and other statuses below 500: a value is wrong or too large
            ├── UnauthenticatedError   401: the key is missing or unknown
            ├── ForbiddenError         403: the key lacks a scope
            ├── NotFoundError          404: there is no such model, item or route
            ├── ConflictError          409: an idempotency key was used with other events, or a model changed since it was read
            ├── RateLimitedError       429: too many requests; see `retry_after`
            ├── ServiceError           500: a bug of the service, whose log has the details
            └── UnavailableError       502, 503, 504: a full queue, no database, or no service behind a proxy

A wrong argument that is found before anything is sent is a `foldin.errors.ConfigError`.
"""

from typing import Any

from foldin.errors import FoldinError

__all__ = [
    "AnswerError",
    "ClientError",
    "ConflictError",
    "ForbiddenError",
    "InvalidRequestError",
    "NoResponseError",
    "NotFoundError",
    "RateLimitedError",
    "ResponseError",
    "ServiceError",
    "UnauthenticatedError",
    "UnavailableError",
    "error_class",
]


class ClientError(FoldinError):
    """A call failed.

    Args:
        message: what failed, in one line.
        request_id: id of the request, as in the service's log.
        attempts: number of times that the request was sent.
    """

    def __init__(self, message: str, *, request_id: str = "", attempts: int = 1) -> None:
        super().__init__(message)
        self.request_id, self.attempts = request_id, attempts


class NoResponseError(ClientError):
    """No response arrived: there was no connection, it broke, or a time limit ran out."""


class AnswerError(ClientError):
    """A response is not what the interface describes; is there a foldin service at this address?"""


class ResponseError(ClientError):
    """The service refused a request or failed.

    Args:
        message: what failed, in one line.
        status: HTTP status.
        problem: body of the response; empty if it is not a JSON object.
        retry_after: seconds after which the service wants to be asked again; None if it does not say so.
        request_id: id of the request, as in the service's log.
        attempts: number of times that the request was sent.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        problem: dict[str, Any] | None = None,
        retry_after: float | None = None,
        request_id: str = "",
        attempts: int = 1,
    ) -> None:
        super().__init__(message, request_id=request_id, attempts=attempts)
        self.status, self.problem, self.retry_after = status, problem or {}, retry_after


class InvalidRequestError(ResponseError):
    """A value of the request is wrong or too large; the problem says which one."""


class UnauthenticatedError(ResponseError):
    """The API key is missing or unknown."""


class ForbiddenError(ResponseError):
    """The API key lacks a scope, or a service without keys was asked from elsewhere than its machine."""


class NotFoundError(ResponseError):
    """There is no such model, item or route."""


class ConflictError(ResponseError):
    """An idempotency key was used before with other events, or a model changed since it was read."""


class RateLimitedError(ResponseError):
    """Too many requests were sent with the key; `retry_after` says when the next one may be sent."""


class ServiceError(ResponseError):
    """A bug of the service; its log has the details under the id of the request."""


class UnavailableError(ResponseError):
    """The service cannot answer now: a full queue, no database, or no service behind a proxy."""


_CLASSES: dict[int, type[ResponseError]] = {
    401: UnauthenticatedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    429: RateLimitedError,
    502: UnavailableError,
    503: UnavailableError,
    504: UnavailableError,
}


def error_class(status: int) -> type[ResponseError]:
    """The class of the error for an HTTP status that is not a success."""
    return _CLASSES.get(status, ServiceError if status >= 500 else InvalidRequestError)
