"""Write the formulas and the book's equations as MathML and as Korean speech: python docs/write_formulas.py

It needs Node, and from npm Temml (MIT) and the Speech Rule Engine (Apache-2.0). English speech is written by hand beside each
equation.
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
SPEECH = "4.1.2"
_SCRIPT = r"""
const temml = require("temml");
const found = JSON.parse(require("fs").readFileSync(0, "utf8"));
const speech = require("speech-rule-engine");
speech.setupEngine({ locale: "ko", domain: "clearspeak", modality: "speech", markup: "none" }).then(() => {
  const made = {};
  // A bar is no "divides", and an expectation no letter.
  const told = [[/<mo[^>]*>[|∣]<\/mo>/g, "조건"], [/<mi[^>]*>𝔼<\/mi>/g, "기댓값"]];
  const spoken = (mathml) => {
    const text = speech.toSpeech(told.reduce((left, [sign, word]) => left.replaceAll(sign, `<mtext>${word}</mtext>`), mathml));
    return told.reduce((left, [, word]) => left.replaceAll([...word].join(" "), word), text);
  };
  for (const [label, latex] of Object.entries(found)) {
    const mathml = temml.renderToString(latex, { displayMode: true, throwOnError: true, annotate: false });
    made[label] = { mathml, spoken_ko: spoken(mathml) };
  }
  console.log(JSON.stringify(made));
});
"""


def write(target: Path, latex: Mapping[str, str], folder: str) -> None:
    """Write LaTeX, MathML and speech by label; `folder` is where the packages are installed."""
    done = subprocess.run(
        ["node", "-e", _SCRIPT], cwd=folder, input=json.dumps(latex), capture_output=True, text=True, check=True
    )
    made = json.loads(done.stdout)
    content = {
        "made_by": f"Temml {TEMML}, MIT license, https://temml.org; Speech Rule Engine {SPEECH}, Apache-2.0",
        "formulas": {label: {"latex": latex[label], **made[label]} for label in sorted(latex)},
    }
    target.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["npm", "install", "--silent", f"temml@{TEMML}", f"speech-rule-engine@{SPEECH}"], cwd=folder, check=True
        )
        latex = {label: one.latex for label, one in formulas().items()}
        for label, one in formulas().items():
            latex |= {f"{label}, term {at}": term for at, term in enumerate(one.terms)}
        write(SOURCE / "formulas" / "mathml.json", latex, folder)
        write(SOURCE / "book" / "mathml.json", {label: one.latex for label, one in equations().items()}, folder)


if __name__ == "__main__":
    main()
