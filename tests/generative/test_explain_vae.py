"""`foldin explain` on a saved VAE: the report in words, as a page and as JSON."""

import json
import math
import struct

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from foldin.cli.explain import command as explain_command
from foldin.errors import ConfigError
from foldin.generative import save_model
from foldin.inference import Called, bound_report
from tests.generative.test_vae import made, stripes


def write_idx(folder, name, values):
    header = b"\0\0\x08" + bytes([values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    (folder / name).write_bytes(header + values.numpy().tobytes())


@pytest.fixture
def pictures(tmp_path):
    for part, n in (("train", 40), ("t10k", 12)):
        write_idx(tmp_path, f"{part}-images-idx3-ubyte", stripes(n).values)
        write_idx(tmp_path, f"{part}-labels-idx1-ubyte", torch.zeros(n, dtype=torch.uint8))
    return tmp_path


def test_explain_reports_on_a_saved_model(pictures):
    path = pictures / "vae.safetensors"
    save_model(path, made())
    arguments = [str(path), "--data", str(pictures), "--users", "10", "--draws", "60", "--temperatures", "20"]
    result = CliRunner().invoke(explain_command, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    said = " ".join(result.output.split())
    for part in ("10 held-out pictures, 12 pixels each", "per picture", "per pixel", "ELBO", "IWAE bound, k = 50"):
        assert part in said
    assert "per user" not in said
    page = (pictures / "vae.html").read_text(encoding="utf-8")
    assert "per picture" in page
    assert "per user" not in page
    for part in ("best bound on log p(x)", "annealed upper bound, 10 simulated pictures", "median ESS"):
        assert part in page
    assert "<script" not in page


def test_explain_as_json_agrees_with_the_report(pictures):
    path, model = pictures / "vae.safetensors", made()
    save_model(path, model)
    arguments = [str(path), "--data", str(pictures), "--users", "10", "--draws", "5", "--annealed", "0", "--json"]
    content = json.loads(CliRunner().invoke(explain_command, arguments, catch_exceptions=False).output)
    expected = bound_report(
        model,
        stripes(12).rows(0, 10),
        np.full(10, 12.0),
        called=Called("picture", "pictures", "pixel"),
        draws=5,
        annealed=0,
    )
    assert content["bounds"] == json.loads(json.dumps(expected))
    bits = -content["bounds"]["bound"]["elbo"]["per_pixel"] / math.log(2)
    assert content["bits_per_pixel"]["elbo"] == pytest.approx(bits)
    assert content["model"] == "vae"


def test_explain_needs_the_pictures(pictures):
    path = pictures / "vae.safetensors"
    save_model(path, made())
    with pytest.raises(ConfigError, match="--data"):
        CliRunner().invoke(explain_command, [str(path)], catch_exceptions=False)
