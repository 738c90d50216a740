"""The lines of the service's log: whole, in order, those of a moment in one write, and none lost at the end."""

import asyncio
import io
import logging

import pytest

from foldin.serve.log_lines import DELAY, LineHandler, logged


class Stream(io.StringIO):
    def __init__(self):
        super().__init__()
        self.writes = []

    def write(self, text):
        self.writes.append(text)
        return super().write(text)


@pytest.fixture
def log():
    stream = Stream()
    handler = LineHandler(stream)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.Logger("lines", logging.INFO)
    logger.addHandler(handler)
    return logger, stream, handler


def test_lines_that_an_event_loop_logs_are_written_together_and_in_order(log):
    logger, stream, _ = log

    async def serve():
        for at in range(3):
            logger.info("%d", at)
            await asyncio.sleep(0)
        assert stream.writes == []
        await asyncio.sleep(2 * DELAY)
        logger.info("3")
        await asyncio.sleep(2 * DELAY)

    asyncio.run(serve())
    assert stream.writes == ["0\n1\n2\n", "3\n"]


def test_a_warning_and_what_is_logged_outside_of_an_event_loop_are_written_at_once(log):
    logger, stream, _ = log
    logger.info("first")
    assert stream.writes == ["first\n"]

    async def serve():
        logger.info("waits")
        logger.warning("does not")
        assert stream.writes[1:] == ["waits\ndoes not\n"]
        logger.info("of a thread, before it")
        await asyncio.to_thread(logger.info, "of a thread")
        assert stream.writes[2:] == ["of a thread, before it\nof a thread\n"]
        await asyncio.sleep(2 * DELAY)

    asyncio.run(serve())
    assert len(stream.writes) == 3


def test_the_lines_of_a_loop_that_ended_are_written_by_the_next_or_by_flush(log):
    logger, stream, handler = log

    async def serve(text, seconds):
        logger.info(text)
        await asyncio.sleep(seconds)

    asyncio.run(serve("a", 0))
    asyncio.run(serve("b", 2 * DELAY))
    assert stream.writes == ["a\nb\n"]
    asyncio.run(serve("c", 0))
    handler.flush()
    assert stream.getvalue() == "a\nb\nc\n"


def test_a_stream_that_is_gone_stops_nobody(log, capsys):
    logger, stream, handler = log
    stream.close()
    logger.warning("nobody reads this")
    handler.flush()
    assert capsys.readouterr().err == ""  # where `logging` complains of handlers that fail


def test_the_context_writes_to_standard_error_what_waits_at_its_end(capsys):
    async def serve():
        logging.getLogger("foldin.serve").info("last")

    with logged():
        asyncio.run(serve())
        assert capsys.readouterr().err == ""
    assert capsys.readouterr().err == "last\n"
    with logged():
        pass
    logging.getLogger("foldin.serve").info("after")
    assert capsys.readouterr().err == ""
