"""A service with eight models, and a browser."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from foldin.serve import connect
from foldin.serve.storage.drift_reports import DriftReports
from tests.browser.stored import make_experiment, measure_drift
from tests.serve.conftest import make_hostile_run, make_judged_run, make_large_run, make_run

CHROMIUM = shutil.which("chromium")
NEEDS_CHROMIUM = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
PATIENCE = 20_000  # milliseconds, where other tests take the processor
expect.set_options(timeout=PATIENCE)
LONG_NAME = "a_model_with_a_name_that_is_as_long_as_names_of_models_may_be"
LONG_KIND = "<b>bought</b>_" + "in_a_shop_" * 5  # of an event: 64 characters


@contextmanager
def serving(runs: Sequence[Path], events: str, *options: str) -> Iterator[str]:
    """The address of a serving process."""
    command = [sys.executable, "-m", "foldin", "serve", *map(str, runs), "--events", events, "--port", "0", *options]
    started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert started.stderr is not None
    found = next(match[0] for match in (re.search(r"http://[\d.:]+", line) for line in started.stderr) if match)
    drain = subprocess.Popen(["cat"], stdin=started.stderr, stdout=subprocess.DEVNULL)
    yield found
    started.terminate()
    started.wait(30)
    drain.wait(30)
    started.stderr.close()


@pytest.fixture(scope="session")
def address(tmp_path_factory) -> Iterator[str]:
    """A service with eight models, an experiment with long names, and measurements of drift."""
    root = tmp_path_factory.mktemp("studio")
    runs = [make_run(root / name, name) for name in ("multvae", "ease", "popularity", "semantic")]
    runs += [make_judged_run(root / "judged"), make_large_run(root / "large")]
    runs += [make_hostile_run(root / "hostile", "multvae"), make_hostile_run(root / LONG_NAME, "lda")]
    url = f"sqlite:///{root}/events.db"
    with serving(runs, url, "--no-keys", "--drift-every", "0") as found:
        make_experiment(found, url, (LONG_NAME, "hostile"), users=200, kind=LONG_KIND)
        engine = connect(url)
        for model in ("hostile", LONG_NAME):
            measure_drift(DriftReports(engine), model, 3, dense=True)
        engine.dispose()
        yield found


@pytest.fixture(scope="module")  # while Playwright runs, no other test of this process has an event loop
def browser():
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


@pytest.fixture
def page(browser) -> Iterator[Page]:
    """A tab; whatever it complains of fails the test."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    tab = context.new_page()
    tab.set_default_timeout(PATIENCE)
    complaints: list[str] = []
    tab.on("console", lambda one: complaints.append(one.text) if one.type in ("error", "warning") else None)
    tab.on("pageerror", lambda one: complaints.append(str(one)))
    tab.complaints = complaints
    yield tab
    context.close()
    assert not complaints, complaints
