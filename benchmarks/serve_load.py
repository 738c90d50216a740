"""The service under load: a RecVAE of `ml-1m-strong`, 64 clients, histories of 50 items, lists of 10; and a bare FastAPI
application that parses and returns bodies of the same size, in the same run, each in a process of its own on loopback.

python benchmarks/serve_load.py                   both, in turn
python benchmarks/serve_load.py --soak 600        and then ten minutes of foldin alone: memory at the beginning and at the end
python benchmarks/serve_load.py --workers 2       and in turn with them, foldin with two workers

The clients are one more process, on the same cores as the server; they write raw HTTP and look at nothing but the status.
"""

import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from common import arguments, write

CLIENTS, HISTORY, K = 64, 50, 10


def bodies(ids: list[str], count: int = 200) -> list[bytes]:
    rng = np.random.default_rng(0)
    made = []
    for _ in range(count):
        body = json.dumps(
            {"history": rng.choice(ids, min(HISTORY, len(ids) // 2), replace=False).tolist(), "k": K}
        ).encode()
        head = f"POST /v1/recommendations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n"
        head += "Content-Type: application/json\r\n\r\n"
        made.append(head.encode() + body)
    return made


async def client(port: int, requests: list[bytes], until: float, times: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    at = 0
    while time.perf_counter() < until:
        start = time.perf_counter()
        writer.write(requests[at % len(requests)])
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"unexpected answer: {head[:200]!r}")
        length = int(re.search(rb"content-length: (\d+)", head)[1])
        await reader.readexactly(length)
        times.append(time.perf_counter() - start)
        at += 7
    writer.close()


async def load(port: int, requests: list[bytes], seconds: float) -> list[float]:
    times: list[float] = []
    until = time.perf_counter() + seconds
    await asyncio.gather(*(client(port, requests[at:] + requests[:at], until, times) for at in range(CLIENTS)))
    return times


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextlib.contextmanager
def serving(command: list[str]) -> Iterator[tuple[subprocess.Popen[str], int]]:
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parent)
    assert process.stderr is not None
    port = None
    for line in process.stderr:
        found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        if found:
            port = int(found[1])
            break
    if port is None:
        raise SystemExit("the server did not start")
    drain = subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
    try:
        yield process, port
    finally:
        process.terminate()
        process.wait(30)
        drain.kill()
        drain.wait()
        process.stderr.close()


def run_of(folder: Path, data: Path) -> tuple[Path, list[str]]:
    """A RecVAE of full size, trained for long enough to have a peaked distribution."""
    from foldin.data import Source
    from foldin.experiment import train
    from foldin.models import RecVAEConfig

    source = Source(path=str(data / "ml-1m-strong"))
    split = source.split()
    trained = train(split, RecVAEConfig(batch_size=250), epochs=2)
    trained.save(folder / "recvae")
    return folder / "recvae", split.catalog.ids


def main() -> None:
    options = arguments(
        __doc__,
        name="serve_load",
        folder=Path(__file__).parent,
        threads=1,
        seconds=15.0,
        repeats=3,
        soak=0.0,
        warm=2.0,
        workers=1,
        tiny={"seconds": 0.5, "repeats": 1, "warm": 0.2},
    )
    torch.set_num_threads(2)
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as scratch:
        run, ids = run_of(Path(scratch), options.data)
        requests = bodies(ids)
        commands = {
            "ours": [
                *(sys.executable, "-m", "foldin", "serve", str(run), "--no-keys", "--port", "0", "--rate", "1e9"),
                *("--events", f"sqlite:///{scratch}/events.db"),
            ],
            "bare": [sys.executable, "-m", "uvicorn", "--factory", "bare_app:make", "--port", "0", "--no-access-log"],
        }
        if options.workers > 1:
            commands["workers"] = [*commands["ours"], "--workers", str(options.workers)]
        environment = {"OMP_NUM_THREADS": str(options.threads)}
        os.environ |= environment
        found: dict[str, list[dict[str, float]]] = {name: [] for name in commands}
        for _ in range(options.repeats):
            for name, command in commands.items():
                with serving(command) as (_, port):
                    asyncio.run(load(port, requests, options.warm))
                    start = time.perf_counter()
                    times = np.array(asyncio.run(load(port, requests, options.seconds)))
                    rate = len(times) / (time.perf_counter() - start)
                    p50, p95, p99 = (1000 * np.quantile(times, q) for q in (0.5, 0.95, 0.99))
                    found[name].append({"per_second": rate, "p50_ms": p50, "p95_ms": p95, "p99_ms": p99})
                    print(name, found[name][-1], file=sys.stderr, flush=True)
        for name, runs in found.items():
            figures[name] = {key: float(np.median([run[key] for run in runs])) for key in runs[0]}
        if options.soak:
            with serving(commands["ours"]) as (process, port):
                asyncio.run(load(port, requests, min(30.0, options.soak / 4)))
                memory = [resident_mb(process.pid)]
                count = 0
                for _ in range(4):
                    count += len(asyncio.run(load(port, requests, options.soak / 4)))
                    memory.append(resident_mb(process.pid))
                figures["soak"] = {"seconds": options.soak, "requests": count, "resident_mb": memory}
    rates = {name: figures[name]["per_second"] for name in commands}  # type: ignore[index]
    settings, ratios = {"clients": CLIENTS, "history": HISTORY, "k": K}, {"bare": rates["ours"] / rates["bare"]}
    if "workers" in rates:
        settings["workers"], ratios["one worker"] = options.workers, rates["workers"] / rates["ours"]
    write(
        options.json,
        "serve_load",
        settings={**settings, "seconds": options.seconds},
        figures=figures,
        ratios=ratios,
    )


if __name__ == "__main__":
    main()
