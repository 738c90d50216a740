"""Runs the numbers behind a figure in Node, to compare them with the library's."""

import json
import shutil
import subprocess
from typing import Any

import pytest

from foldin.book import FIGURES

__all__ = ["NODE", "computed", "needs_node"]

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="no Node on this machine")
_CALL = """
const [path] = process.argv.slice(1);
const [parameters, film] = JSON.parse((await import("node:fs")).readFileSync(0, "utf8"));
const figure = await import(path);
const values = Object.fromEntries(figure.parameters.map((one) => [one.name, one.start]));
console.log(JSON.stringify(figure.compute({ ...values, ...parameters }, film)));
"""


def computed(figure: str, parameters: dict[str, Any] | None = None, film: Any = None) -> dict[str, Any]:
    """The values that a figure computes; parameters that are not given start where the figure starts."""
    assert NODE is not None
    done = subprocess.run(
        [NODE, "--input-type=module", "-e", _CALL, "--", str(FIGURES / f"{figure}.js")],
        input=json.dumps([parameters or {}, film]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found
