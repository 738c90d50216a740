"""`foldin export`: a run as an ONNX file."""

from pathlib import Path

import click

from foldin.cli.options import JSON
from foldin.cli.output import json_out, out
from foldin.cli.targets import check_file
from foldin.runs import export_onnx, load_run

__all__ = ["command"]


@click.command()
@click.argument("run")
@click.option("--out", "target", metavar="FILE", required=True, help="File of the graph, ending in .onnx.")
@click.option("-k", type=click.IntRange(1), default=10, show_default=True, help="Number of items in a list.")
@JSON
def command(run: str, target: str, k: int, as_json: bool) -> None:
    """Write a run as an ONNX graph that scores all items for a history, excludes the items of the history, and returns the
    k best.

    Input: `history` (users × events, int64 item indices, oldest first, −1 where a history is shorter). Outputs: `items`
    and `scores` (users × k). The external ids of the items are in the file's metadata, as a JSON list under "items".

    \b
    Example:
      foldin export runs/films --out films.onnx -k 20
    """
    path = Path(target)
    check_file(path, "--out", (".onnx",))
    loaded = load_run(run)
    export_onnx(loaded.model, loaded.catalog, path, k=k)
    size = path.stat().st_size
    if as_json:
        json_out({"run": run, "model": loaded.name, "out": target, "k": k, "bytes": size})
    else:
        out().print(f"{loaded.name}, lists of {k} → {target} ({size / 1e6:.1f} MB)", soft_wrap=True)
