"""`foldin runs`: generations of a run in service."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from foldin.cli.options import JSON
from foldin.cli.output import json_out, out, table
from foldin.errors import RunError
from foldin.runs import Generation, generations, roll_back

__all__ = ["command"]


@click.group()
def command() -> None:
    """List the generations of a run, which `foldin fit --all --replace` adds to, and go back to an earlier one.

    \b
    Example:
      foldin runs rollback runs/shop
    """


@command.command("list")
@click.argument("run")
@JSON
def list_generations(run: str, as_json: bool) -> None:
    """List the generations of RUN, oldest first.

    \b
    Example:
      foldin runs list runs/shop
    """
    found = generations(run)
    if not found:
        raise RunError(f"{run}: holds no generations of a run")
    rows = [_about(one) for one in found]
    if as_json:
        json_out({"run": run, "generations": rows})
        return
    head = ("generation", "model", "trained on events until", "state")
    shown = [[str(row[name] or "") for name in ("generation", "model", "until", "state")] for row in rows]
    out().print(table(f"generations of {run}", head, shown, left=4))


def _about(one: Generation) -> dict[str, Any]:
    if not one.finished:
        return {"generation": one.number, "model": None, "until": None, "state": "unfinished"}
    info = json.loads((one.folder / "run.json").read_text(encoding="utf-8"))
    until, state = info.get("until"), "in service" if one.current else "kept"
    when = datetime.fromtimestamp(until, UTC).isoformat() if isinstance(until, int) else None
    return {"generation": one.number, "model": info["model"], "until": when, "state": state}


@command.command()
@click.argument("run")
@click.option(
    "--to",
    type=click.IntRange(1),
    metavar="GENERATION",
    help="Number of the generation to restore  [default: the newest intact one before the one in service]",
)
@JSON
def rollback(run: str, to: int | None, as_json: bool) -> None:
    """Make an earlier generation of RUN the one in service. Nothing is deleted; a service that has loaded RUN takes it up.

    \b
    Example:
      foldin runs rollback runs/shop
    """
    found = roll_back(Path(run), to)
    if as_json:
        json_out({"run": run, "generation": found.number})
        return
    out().print(f"generation {found.number} of {run} is in service", soft_wrap=True)
