"""The service under faults: killed while it writes, and asked for nonsense.

python benchmarks/serve_faults.py            50 SIGKILLs on each database, 10,000 requests of a fuzzer, and schemathesis
python benchmarks/serve_faults.py --rounds 5 --requests 300

SIGKILL: four clients send batches of five events over HTTP, and the service is killed at random moments; no acknowledged event
may be missing, none there twice, no batch there in part. The fuzzer is Hypothesis on `tests/serve/test_faults.py`; schemathesis
makes its requests from the service's own OpenAPI description, in an environment of its own (`make bench-setup`). A 500 fails
either.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from common import ROOT, arguments, peer_python, write

sys.path.insert(0, str(ROOT))

from serve_load import serving
from tests.serve.conftest import make_run
from tests.serve.kills import killed_while_writing
from tests.serve.postgres import Postgres

from foldin.serve import EventStore, connect


def kills(run: Path, url: str, rounds: int) -> dict[str, int]:
    acknowledged, kept = killed_while_writing(EventStore(connect(url)), run, url, rounds)
    return {"kills": rounds, "acknowledged_events": acknowledged, "events": kept, "lost": 0, "doubled": 0}


def fuzzed(requests: int) -> dict[str, object]:
    command = [sys.executable, "-m", "pytest", "tests/serve/test_faults.py", "-k", "no_request", "--timeout", "3000"]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "requests"
        settings = {"FOLDIN_FUZZ": str(-(-requests // 3)), "FOLDIN_FUZZ_LOG": str(log)}
        run = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **settings}, capture_output=True, text=True, check=False
        )
        if run.returncode:
            raise SystemExit(run.stdout[-3000:])
        status = log.read_text().split()
    return {"requests": len(status), "answers_500": sum(one.startswith("5") for one in status)}


def described(folder: Path, tool: Path, examples: int) -> dict[str, object]:
    """schemathesis on a serving process."""
    run = make_run(folder / "shop", "multvae")
    command = [sys.executable, "-m", "foldin", "serve", str(run), "--no-keys", "--port", "0", "--rate", "1e9"]
    with serving([*command, "--events", f"sqlite:///{folder}/events.db"]) as (_, port):
        call = [str(tool.absolute()), "run", f"http://127.0.0.1:{port}/openapi.json", "--checks", "not_a_server_error"]
        command = [*call, "--max-examples", str(examples)]
        hooks = {**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(Path(__file__).parent)}
        # It keeps a folder of its own where it is started.
        found = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=hooks)
    print(found.stdout[-2500:], file=sys.stderr)
    if found.returncode:
        raise SystemExit("schemathesis found something")
    counted = re.search(r"(\d+) generated", found.stdout)
    return {"requests": int(counted[1]) if counted else None, "answers_500": 0}


def main() -> None:
    options = arguments(
        __doc__,
        name="serve_faults",
        folder=Path(__file__).parent,
        rounds=50,
        requests=10_000,
        examples=300,
        tiny={"rounds": 1, "requests": 30, "examples": 1},
    )
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as scratch:
        run = make_run(Path(scratch) / "ease", "ease")
        figures["sqlite"] = kills(run, f"sqlite:///{scratch}/kills.db", options.rounds)
        server = Postgres.find()
        if server is not None:
            server.start()
            try:
                figures["postgresql"] = kills(run, server.url, options.rounds)
            finally:
                server.remove()
        figures["hypothesis"] = fuzzed(options.requests)
        python = peer_python(options, "schemathesis")
        if python is not None:
            figures["schemathesis"] = described(Path(scratch), Path(python).parent / "st", options.examples)
    write(options.json, "serve_faults", settings={"rounds": options.rounds}, figures=figures)


if __name__ == "__main__":
    main()
