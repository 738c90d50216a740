"""Responses in one write: the bytes of plain uvicorn, also of a response in parts, and of one that ends its connection."""

import asyncio

import pytest
import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from foldin.serve.protocol import JoiningProtocol, JoiningTransport


class Inner:
    def __init__(self):
        self.writes, self.closed = [], False

    def write(self, data):
        assert not self.closed
        self.writes.append(data)

    def close(self):
        self.closed = True

    def is_closing(self):
        return self.closed


def test_what_one_step_writes_is_one_write_and_closing_loses_nothing():
    async def steps():
        inner = Inner()
        joining = JoiningTransport(inner, asyncio.get_running_loop())
        joining.write(b"head")
        joining.write(b"body")
        assert inner.writes == []
        await asyncio.sleep(0)
        assert inner.writes == [b"headbody"]
        joining.write(b"last")
        joining.close()
        assert inner.writes[1:] == [b"last"]
        assert joining.is_closing()
        await asyncio.sleep(0)
        assert len(inner.writes) == 2

    asyncio.run(steps())


async def app(scope, receive, send):
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message["body"]
        if not message["more_body"]:
            break
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-length", str(len(body)).encode())]})
    for part in (b"one ", b"two ", body):
        await send({"type": "http.response.body", "body": part, "more_body": True})
        if scope["path"] == "/slow":
            await asyncio.sleep(0.01)
    await send({"type": "http.response.body", "body": b""})


REQUESTS = (
    b"POST /fast HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nthree",
    b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" * 2,
    b"POST /large HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n" + b"z" * 300_000,
    b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"no HTTP at all\r\n\r\n",
)


async def answers(protocol) -> bytes:
    """What a server sends on one connection for the first requests, and on a second one for the last."""
    config = uvicorn.Config(app, http=protocol, log_level="critical", lifespan="off", date_header=False)
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    made = lambda: config.http_protocol_class(config=config, server_state=server.server_state, app_state={})
    listening = await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0)
    port, found = listening.sockets[0].getsockname()[1], b""
    for requests in (REQUESTS[:-1], REQUESTS[-1:]):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"".join(requests))
        found += await asyncio.wait_for(reader.read(), 20)
        writer.close()
    listening.close()
    return found


@pytest.mark.parametrize("repeat", range(2))
def test_the_bytes_are_those_of_uvicorn(repeat):
    joined, plain = (asyncio.run(answers(protocol)) for protocol in (JoiningProtocol, AutoHTTPProtocol))
    assert joined == plain
    assert (joined.count(b"200 OK"), joined.count(b"400 Bad Request")) == (5, 1)
    assert b"z" * 300_000 in joined
