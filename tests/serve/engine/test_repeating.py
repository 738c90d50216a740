"""Work that a thread repeats: an error ends nothing and is logged once, and stopping waits for what is under way."""

import json
import logging
import threading

from foldin.serve.engine.repeating import Repeating


def test_errors_are_logged_once_until_the_work_succeeds_again(caplog):
    results = iter([ValueError("first"), ValueError("again"), None, ValueError("later"), None])
    done = threading.Event()

    def work() -> None:
        found = next(results, StopIteration)
        if found is StopIteration:
            done.set()
        elif isinstance(found, Exception):
            raise found

    repeated = Repeating(work, seconds=0.001, name="things")
    with caplog.at_level(logging.WARNING, logger="foldin.serve"):
        repeated.start()
        assert done.wait(30)
        repeated.stop()
    said = [json.loads(record.message) for record in caplog.records if record.name == "foldin.serve"]
    assert said == [{"things": "not read", "error": "first"}, {"things": "not read", "error": "later"}]


def test_stopping_waits_for_the_work_and_a_stopped_thread_starts_again():
    begun, go_on, ended = threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        assert go_on.wait(30)
        ended.append(len(ended))

    repeated = Repeating(work, seconds=0.001, name="things")
    repeated.start()
    assert begun.wait(30)
    threading.Timer(0.05, go_on.set).start()
    repeated.stop()
    assert ended == [0]
    begun.clear()
    repeated.start()
    assert begun.wait(30)
    repeated.stop()
    assert len(ended) > 1
