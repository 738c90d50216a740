"""What the client needs: neither PyTorch nor NumPy nor pydantic, and HTTPX once it is used."""

import subprocess
import sys

HEAVY = ("torch", "numpy", "polars", "pydantic", "fastapi", "httpx", "foldin.serve", "foldin.models")


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_importing_the_client_imports_no_heavy_package():
    code = f"import foldin.client, sys; print([name for name in {HEAVY} if name in sys.modules])"
    assert run(code) == "[]\n"
    code = f"import foldin.client as c, sys; c.Client('http://h'); print([n for n in {HEAVY} if n in sys.modules])"
    assert run(code) == "['httpx']\n"


def test_without_httpx_one_line_says_what_to_install():
    code = "import sys; sys.modules['httpx'] = None; import foldin.client as c\ntry: c.Client('http://h')\n"
    code += "except c.ClientError: raise\nexcept Exception as error: print(error)"
    assert run(code) == "foldin.client needs the package 'httpx': pip install 'foldin[client]'\n"
