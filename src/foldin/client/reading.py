"""The exchange of one call with the service, without input and output: the request, its answer, and when it is sent again.

`Client` and `AsyncClient` only carry out the steps of `exchange`: they send a request and hand over what came of it, or wait.

A request is sent again after a failure only if that cannot do anything twice: a call that changes nothing; events, which have
an idempotency key; and any call that the service did not begin, because no connection was made or because of its rate limit.
"""

import json
import random
import secrets
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

from foldin.client.decoding import UnexpectedError, decode
from foldin.client.errors import AnswerError, ClientError, NoResponseError, ResponseError, error_class
from foldin.client.retries import Retries, seconds_of
from foldin.errors import ConfigError, FoldinError

__all__ = ["Call", "Calls", "Failure", "Pause", "Request", "Response", "Steps", "as_text", "exchange", "read_as"]

T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """An HTTP request to send; `target` is the path with the query, percent-encoded."""

    method: str
    target: str
    headers: Mapping[str, str]
    content: bytes | None


@dataclass(frozen=True)
class Response:
    """An HTTP response that arrived; the names of the headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True)
class Failure:
    """No response arrived; `sent` says whether the request may have reached the service."""

    reason: str
    sent: bool


@dataclass(frozen=True)
class Pause:
    """Seconds to wait before the next step."""

    seconds: float


@dataclass(frozen=True, kw_only=True)
class Call(Generic[T]):
    """A call of one route.

    Args:
        method: HTTP method.
        route: path of the route, with names in braces.
        read: the answer from the body of a response.
        values: values of the names in the route.
        query: parameters after the path; those that are None are left out.
        content: body in JSON; None for a request without one.
        headers: further headers.
        repeatable: whether sending it twice has the effect of sending it once.
        accepted: statuses whose body is an answer.
    """

    method: str
    route: str
    read: Callable[[bytes], T]
    values: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = False
    accepted: tuple[int, ...] = (200,)

    def request(self, request_id: str) -> Request:
        """The HTTP request of the call.

        Raises:
            ConfigError: a value of the path or the query is empty or no valid text.
        """
        path = self.route
        for name, value in self.values.items():
            path = path.replace(f"{{{name}}}", _segment(name, value))
        try:
            query = urlencode({key: one for key, one in self.query.items() if one is not None}, doseq=True)
        except UnicodeEncodeError:
            raise ConfigError(f"{self.route}: a parameter is not valid Unicode") from None
        headers = {"accept": "application/json", "x-request-id": request_id, **self.headers}
        if self.content is not None:
            headers["content-type"] = "application/json"
        return Request(self.method, f"{path}?{query}" if query else path, headers, self.content)


@dataclass(frozen=True)
class Calls(Generic[T]):
    """Several calls, one after the other, with one answer.

    Args:
        calls: the calls; each is made when the one before has succeeded.
        combine: the answer, from the answers of the calls in order.
    """

    calls: Iterable[Call[Any]]
    combine: Callable[[list[Any]], T]


Steps = Generator[Request | Pause, Response | Failure | None, T]


def exchange(plan: Call[T] | Calls[T], retries: Retries, rng: random.Random) -> Steps[T]:
    """The steps of a call: each `Request` is answered with what came of it, each `Pause` with None; returns the answer.

    Raises:
        ConfigError: a value cannot be sent.
        ClientError: the call failed; of several calls, a note says how many of them succeeded before.
    """
    if isinstance(plan, Call):
        return (yield from _one(plan, retries, rng))
    answers: list[Any] = []
    try:
        for call in plan.calls:
            answers.append((yield from _one(call, retries, rng)))
    except FoldinError as error:
        error.add_note(f"{len(answers)} requests of this call succeeded before")
        raise
    return plan.combine(answers)


def _one(call: Call[T], retries: Retries, rng: random.Random) -> Steps[T]:
    request_id = secrets.token_hex(16)
    request = call.request(request_id)
    attempt = 1
    while True:
        outcome = yield request
        if isinstance(outcome, Response) and outcome.status in call.accepted:
            return _read(call, outcome, request_id, attempt)
        if outcome is None:
            raise TypeError("a request is answered with a response or a failure")
        error, again = _failed(call, outcome, request_id, attempt)
        pause = retries.pause(attempt, getattr(error, "retry_after", None), rng) if again else None
        if pause is None:
            raise error
        yield Pause(pause)
        attempt += 1


def _segment(name: str, value: str) -> str:
    """A value as one segment of a path."""
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{name}: a text that is not empty was expected, not {value!r}")
    try:
        encoded = quote(value, safe="")
    except UnicodeEncodeError:
        raise ConfigError(f"{name}: it is not valid Unicode") from None
    return encoded.replace(".", "%2E") if set(value) == {"."} else encoded  # `..` would lead out of the path


def _read(call: Call[T], response: Response, request_id: str, attempt: int) -> T:
    try:
        return call.read(response.content)
    except (UnexpectedError, ValueError) as error:
        name = f"{call.method} {call.route}"
        raise AnswerError(
            f"{name}: not an answer of foldin: {error}", request_id=request_id, attempts=attempt
        ) from None


def _failed(call: Call[Any], outcome: Response | Failure, request_id: str, attempt: int) -> tuple[ClientError, bool]:
    """(the error of an attempt, whether the request may be sent again)."""
    name, times = f"{call.method} {call.route}", f" (attempt {attempt})" if attempt > 1 else ""
    if isinstance(outcome, Failure):
        text = f"{name}: no response: {outcome.reason}{times}"
        return NoResponseError(text, request_id=request_id, attempts=attempt), call.repeatable or not outcome.sent
    problem = _problem(outcome.content)
    request_id = outcome.headers.get("x-request-id", request_id)
    said = problem.get("error") or problem.get("detail") or problem.get("title") or "the response says no more"
    error: ResponseError = error_class(outcome.status)(
        f"{name}: {outcome.status}: {said}{times}",
        status=outcome.status,
        problem=problem,
        retry_after=seconds_of(outcome.headers.get("retry-after")),
        request_id=request_id,
        attempts=attempt,
    )
    # Beyond its rate limit the service refuses a request before it begins.
    return error, outcome.status == 429 or (call.repeatable and outcome.status in (502, 503, 504))


def _problem(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def read_as(kind: Callable[..., T], *path: str) -> Callable[[bytes], T]:
    """A reader of bodies in JSON: a value of type `kind`, or the one under the names of `path` in it.

    Args:
        kind: a type that `decode` knows.
        path: name of the field that has the answer; none if the whole body is the answer.
    """

    def read(content: bytes) -> T:
        value = json.loads(content)
        for name in path:
            if not isinstance(value, dict) or name not in value:
                raise UnexpectedError("it is missing", (name,))
            value = value[name]
        found: T = decode(kind, value)
        return found

    return read


def as_text(content: bytes) -> str:
    """A body of plain text."""
    return content.decode()
