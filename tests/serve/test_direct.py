"""Requests that go straight to their endpoint, and those that do not."""

import asyncio

import pytest
from fastapi import APIRouter, FastAPI, Request
from fastapi.testclient import TestClient
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from foldin.serve.api.direct import BareRoute, Direct


@pytest.fixture
def client():
    """An application whose router answers every request with the status 418."""
    app, router = FastAPI(), APIRouter()

    async def echo(http: Request) -> Response:
        body = (await http.body()).decode()
        if body == "refused":
            raise HTTPException(409, "no")
        if body == "broken":
            raise RuntimeError("a bug")
        return PlainTextResponse(f"{http.scope['route'].path}: {body}")

    router.add_api_route("/echo", echo, methods=["POST"], route_class_override=BareRoute)
    router.add_api_route("/echo/{one}", echo, methods=["POST"], route_class_override=BareRoute)
    router.add_api_route("/plain", echo, methods=["POST"])

    @app.exception_handler(HTTPException)
    async def handle(http: Request, error: HTTPException) -> Response:
        return PlainTextResponse(f"handled: {error.detail}", error.status_code)

    app.add_middleware(Direct, routes=router.routes, handlers=app.exception_handlers)
    app.mount("/", PlainTextResponse("routed", 418))
    return TestClient(app, raise_server_exceptions=False)


def test_a_route_is_answered_past_the_router(client):
    answer = client.post("/echo", content="hello")
    assert (answer.status_code, answer.text) == (200, "/echo: hello")


@pytest.mark.parametrize(("method", "path"), [("GET", "/echo"), ("POST", "/echo/1"), ("POST", "/plain"), ("POST", "/")])
def test_all_others_are_left_to_it(client, method, path):
    assert client.request(method, path).status_code == 418


def test_errors_are_answered_by_the_application_s_handlers_or_raised(client):
    answer = client.post("/echo", content="refused")
    assert (answer.status_code, answer.text) == (409, "handled: no")
    assert client.post("/echo", content="broken").status_code == 500


def test_what_is_no_request_is_left_alone():
    seen = []

    async def inner(scope, receive, send):
        seen.append(scope["type"])

    asyncio.run(Direct(inner, routes=[], handlers={})({"type": "lifespan"}, None, None))
    assert seen == ["lifespan"]
