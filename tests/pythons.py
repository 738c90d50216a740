"""The fast tests by other versions of Python: python tests/pythons.py [VERSION…]        also `make test-pythons`

For each version: the pins of constraints.txt are resolved for it, from wheels alone if there is one of every package. Where pyenv
or the path has an interpreter, it compiles the source, and the fast tests run in an environment `.venv-VERSION`, with PyTorch's
build for the CPU, or that of PyPI where the other cannot be had (gigabytes). What was done is printed and kept in
docs/pythons.json; what was not run is called so.
"""

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
KEPT = ROOT / "docs" / "pythons.json"
CPU = "https://download.pytorch.org/whl/cpu"
UV = [sys.executable, "-m", "uv"]


def interpreter(version: str) -> Path | None:
    """The interpreter of a version: of the path, or of pyenv."""
    found = shutil.which(f"python{version}")
    if found and subprocess.run([found, "--version"], capture_output=True, check=False).returncode == 0:
        return Path(found)
    folders = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*"))
    return folders[-1] / "bin" / "python" if folders else None


def works(*command: str | Path) -> bool:
    """Whether a command ends well; its complaints are shown."""
    done = subprocess.run([str(one) for one in command], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"  {' '.join(map(str, command[:6]))} …: {(done.stderr or done.stdout)[-400:].strip()}")
    return done.returncode == 0


def resolved(version: str, python: Path | None) -> str:
    """What the pins come to for a version: for the release of the interpreter, where there is one."""
    if python is not None:
        said = subprocess.run([python, "--version"], capture_output=True, text=True, check=True)
        version = said.stdout.split()[-1]
    pinned = ("--constraint", "constraints.txt", "--all-extras", "--group", "dev", "--python-version", version)
    command = (*UV, "pip", "compile", "--quiet", "pyproject.toml", *pinned, "--output-file", "/dev/null")
    if works(*command, "--only-binary", ":all:"):
        return "resolved, a wheel of each"
    return "resolved" if works(*command) else "cannot be resolved"


def tested(version: str, python: Path) -> str:
    """What the fast tests said, or why they did not run."""
    if sys.version.startswith(f"{version}."):
        environment = Path(sys.executable).parents[1]
    else:
        environment = ROOT / f".venv-{version}"
        own = ("--python", environment / "bin" / "python", "--constraint", "constraints.txt", "--quiet")
        if not works(*UV, "venv", "--allow-existing", "--quiet", "--python", python, environment):
            return "not run: no environment could be made"
        if not any(works(*UV, "pip", "install", *own, "torch", *index) for index in (("--index-url", CPU), ())):
            return "not run: PyTorch cannot be had here"
        if not works(*UV, "pip", "install", *own, "--editable", ".[all,tune,tensorboard,mlflow]", "--group", "dev"):
            return "not run: the pins cannot be installed"
    command = [environment / "bin" / "python", "-m", "pytest", "-m", "not slow", "-n", "2", "--dist", "loadfile"]
    done = subprocess.run([str(one) for one in command], cwd=ROOT, capture_output=True, text=True, check=False)
    last = done.stdout.strip().splitlines()[-1:] or [done.stderr.strip()[-200:]]
    return last[0].strip("= ")


def main() -> None:
    rows = {}
    for version in sys.argv[1:] or VERSIONS:
        python = interpreter(version)
        done = {"pins": resolved(version, python)}
        if python is None:
            done |= {"source": "not compiled: no interpreter here", "fast tests": "not run: no interpreter here"}
        else:
            compiled = works(python, "-m", "compileall", "-q", "-f", "src", "benchmarks", "reproductions")
            done |= {"source": "compiled" if compiled else "cannot be compiled", "fast tests": tested(version, python)}
        rows[version] = done
        print(f"{version}: " + "; ".join(f"{name}: {said}" for name, said in done.items()), flush=True)
    kept = json.loads(KEPT.read_text(encoding="utf-8"))["versions"] if KEPT.is_file() else {}
    content = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "versions": kept | rows}
    KEPT.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
