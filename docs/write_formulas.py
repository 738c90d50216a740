"""Write the MathML of the formulas and of the book's equations, with Temml (MIT) from npm: python docs/write_formulas.py

It needs Node.
"""

import json
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from foldin.book import equations
from foldin.formulas import formulas

SOURCE = Path(__file__).parents[1] / "src" / "foldin"
TEMML = "0.13.5"
_SCRIPT = """
const temml = require("temml");
const found = JSON.parse(require("fs").readFileSync(0, "utf8"));
const made = {};
for (const [label, latex] of Object.entries(found))
  made[label] = temml.renderToString(latex, { displayMode: true, throwOnError: true, annotate: false });
console.log(JSON.stringify(made));
"""


def write(target: Path, latex: Mapping[str, str], folder: str) -> None:
    """Write LaTeX and MathML by label; `folder` is where Temml is installed."""
    done = subprocess.run(
        ["node", "-e", _SCRIPT], cwd=folder, input=json.dumps(latex), capture_output=True, text=True, check=True
    )
    made = json.loads(done.stdout)
    content = {
        "made_by": f"Temml {TEMML}, MIT license, https://temml.org",
        "formulas": {label: {"latex": latex[label], "mathml": made[label]} for label in sorted(latex)},
    }
    target.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "install", "--silent", f"temml@{TEMML}"], cwd=folder, check=True)
        write(SOURCE / "formulas" / "mathml.json", {label: one.latex for label, one in formulas().items()}, folder)
        write(SOURCE / "book" / "mathml.json", {label: one.latex for label, one in equations().items()}, folder)


if __name__ == "__main__":
    main()
