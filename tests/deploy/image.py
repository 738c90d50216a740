"""The steps of the Dockerfile's build in a scratch folder, where no container engine is: `python -m tests.deploy.image`.

COPY copies and RUN runs, with the folders of the image below the scratch folder. Users and owners of the last stage need root and
are left out. What comes out is asked for its version and for the help of its commands.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.deploy.kit import DEPLOY, ROOT

__all__ = ["built", "instructions"]

INSTALLED, SOURCE = "/opt/foldin", "/src"


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """(instruction, arguments) of a Dockerfile in its order."""
    joined = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    for line in joined.splitlines():
        if line.strip():
            name, _, rest = line.partition(" ")
            yield name, rest.strip()


def first_stage(text: str) -> Iterator[tuple[str, str]]:
    """The instructions of the first stage, without its FROM."""
    stages = 0
    for name, rest in instructions(text):
        stages += name == "FROM"
        if stages == 1 and name != "FROM":
            yield name, rest


def built(scratch: Path, variables: dict[str, str]) -> Path:
    """The folder of programs that the first stage makes.

    Args:
        variables: values of build arguments in the place of those of the Dockerfile.
    """
    environment = dict(os.environ)
    (scratch / SOURCE.lstrip("/")).mkdir(parents=True)

    def inside(text: str) -> str:
        return text.replace(INSTALLED, f"{scratch}{INSTALLED}")

    for name, rest in first_stage((DEPLOY / "Dockerfile").read_text(encoding="utf-8")):
        if name == "ARG":
            key, _, value = rest.partition("=")
            environment[key] = variables.get(key, value)
        elif name == "ENV":
            for key, value in re.findall(r"(\w+)=(\S+)", rest):
                environment[key] = inside(value).replace("$PATH", environment["PATH"])
        elif name == "COPY":
            *sources, target = [word for word in rest.split() if not word.startswith("--")]
            to = Path(inside(target)) if target.startswith("/") else scratch / "src" / target
            for source in sources:
                _copy(ROOT / source, to)
        elif name == "RUN":
            print(f"RUN {rest}", file=sys.stderr)
            command = inside(rest).replace("python -m venv", f"{sys.executable} -m venv")
            subprocess.run(["sh", "-ec", command], cwd=scratch / "src", env=environment, check=True)
    return scratch / INSTALLED.lstrip("/") / "bin"


def _copy(source: Path, to: Path) -> None:
    """COPY of a file or of the content of a folder."""
    if source.is_dir():
        shutil.copytree(source, to, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    else:
        shutil.copy(source, to)


def main() -> None:
    """Build, and ask what was built. Arguments: NAME=value of build arguments, such as TORCH=https://pypi.org/simple."""
    variables = dict(argument.split("=", 1) for argument in sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="foldin-image-") as folder:
        programs = built(Path(folder), variables)
        environment = {**os.environ, "PATH": f"{programs}:/usr/bin:/bin"}
        environment.pop("PYTHONPATH", None)
        for command in (["foldin", "--version"], ["foldin", "serve", "--help"], ["foldin", "fit", "--help"]):
            done = subprocess.run(command, env=environment, cwd=folder, check=True, capture_output=True, text=True)
            print(done.stdout.splitlines()[0])
        assert os.access(programs / "foldin-nightly", os.X_OK)
        asked = ["python", "-c", "import foldin.serve.workers, foldin.client, faiss, fsspec"]
        subprocess.run([str(programs / asked[0]), *asked[1:]], env=environment, cwd=folder, check=True)


if __name__ == "__main__":
    main()
