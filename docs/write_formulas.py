"""Write the MathML of the formulas, with Temml (MIT) from npm, which needs Node: python docs/write_formulas.py"""

import json
import subprocess
import tempfile
from pathlib import Path

from foldin.formulas import formulas

TARGET = Path(__file__).parents[1] / "src" / "foldin" / "formulas" / "mathml.json"
TEMML = "0.13.5"
_SCRIPT = """
const temml = require("temml");
const found = JSON.parse(require("fs").readFileSync(0, "utf8"));
const made = {};
for (const [label, latex] of Object.entries(found))
  made[label] = temml.renderToString(latex, { displayMode: true, throwOnError: true, annotate: false });
console.log(JSON.stringify(made));
"""


def main() -> None:
    latex = {label: one.latex for label, one in sorted(formulas().items())}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "install", "--silent", f"temml@{TEMML}"], cwd=folder, check=True)
        done = subprocess.run(
            ["node", "-e", _SCRIPT], cwd=folder, input=json.dumps(latex), capture_output=True, text=True, check=True
        )
    made = json.loads(done.stdout)
    content = {
        "made_by": f"Temml {TEMML}, MIT license, https://temml.org",
        "formulas": {label: {"latex": latex[label], "mathml": made[label]} for label in latex},
    }
    TARGET.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
