"""Training with matrix products in bfloat16: what it changes, what it leaves, and what refuses it."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from foldin.data import Examples
from foldin.errors import ConfigError, RunError
from foldin.files import read_tensors, write_tensors
from foldin.generative import VAE, CodePrior, VAEConfig
from foldin.models import MODELS
from foldin.training import CHECKPOINT, fit
from tests.small import ITEMS, SETTINGS
from tests.training.precisions import CASES, DAILY, TRAIN, made, trained


def compare(case: str, folder) -> None:
    """Train an epoch in both precisions: the losses agree to a hundredth, and all that is kept is what it was in float32."""
    ends = {}
    for precision in ("float32", "bfloat16"):
        model, result = trained(case, precision, epochs=2, last_epoch=2, folder=folder / precision)
        assert result.precision == precision
        kept = read_tensors(folder / precision / CHECKPOINT)[0]
        ends[precision] = model, result.records[0].terms, {name: tensor.dtype for name, tensor in kept.items()}
    (plain, expected, kinds), (model, terms, found) = ends["float32"], ends["bfloat16"]
    assert terms == pytest.approx(expected, rel=0.01, abs=0.01)
    losses = [name for name in terms if name.endswith("/loss")]
    assert losses
    assert all(terms[name] != expected[name] for name in losses)
    assert found == kinds
    for name, tensor in model.tensors().items():
        assert tensor.dtype == plain.tensors()[name].dtype


@pytest.mark.parametrize("case", DAILY)
def test_losses_are_nearly_those_of_float32(case, tmp_path):
    compare(case, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("case", [name for name in CASES if name not in DAILY])
def test_losses_of_every_case_are_nearly_those_of_float32(case, tmp_path):
    compare(case, tmp_path)


def test_it_repeats_itself_and_resumes_in_the_same_precision_alone(tmp_path):
    whole, _ = trained("multvae", "bfloat16", epochs=4, folder=tmp_path / "whole")
    trained("multvae", "bfloat16", epochs=4, folder=tmp_path, until=lambda record: record.epoch == 2)
    with pytest.raises(RunError, match="another precision: 'bfloat16', now 'float32'"):
        trained("multvae", "float32", epochs=4, folder=tmp_path, resume=True)
    resumed, result = trained("multvae", "bfloat16", epochs=4, folder=tmp_path, resume=True)
    assert len(result.records) == 4
    assert all(torch.equal(value, whole.state()[name]) for name, value in resumed.state().items())


def test_a_checkpoint_that_does_not_say_its_precision_is_of_float32(tmp_path):
    trained("multdae", "float32", epochs=2, folder=tmp_path, until=lambda record: record.epoch == 1)
    tensors, content = read_tensors(tmp_path / CHECKPOINT)
    assert content["identity"].pop("precision") == "float32"
    write_tensors(tmp_path / CHECKPOINT, tensors, content)
    with pytest.raises(RunError, match="another precision: 'float32', now 'bfloat16'"):
        trained("multdae", "bfloat16", epochs=2, folder=tmp_path, resume=True)
    assert len(trained("multdae", "float32", epochs=2, folder=tmp_path, resume=True)[1].records) == 2


def _noting(begin, found, parameters):
    """An optimizer that notes the gradients of its first step."""
    optimizer = begin(parameters)
    optimizer.register_step_pre_hook(
        lambda *_: None if found else found.extend(one.grad.clone() for one in parameters.values())
    )
    return optimizer


def test_the_gradient_is_nearly_that_of_float32():
    """Of the first step, before small differences have grown: to 3 % of its length, for all parameters together."""
    gradients = {}
    for precision in ("float32", "bfloat16"):
        model = made("sasrec")
        trainer = model.trainer(TRAIN)
        noted = partial(_noting, trainer.phases[0].optimizer, found := [])
        trainer.phases = (replace(trainer.phases[0], optimizer=noted),)
        fit(model, TRAIN, seed=5, epochs=1, precision=precision, trainer=trainer)
        gradients[precision] = torch.cat([one.flatten() for one in found])
    plain, other = gradients["float32"], gradients["bfloat16"]
    assert other.dtype == torch.float32
    assert 0.0 < float((other - plain).norm()) < 0.03 * float(plain.norm())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("popularity", "Popularity cannot be trained with precision = bfloat16: it takes no gradient steps"),
        ("product", "ProductOfExperts cannot .*: it takes no gradient steps"),
        ("elsa", "ELSA cannot .*: the norms in its loss are small differences"),
        ("diffrec", "DiffRec cannot .*: its input layer, and the squared error of its output"),
    ],
)
def test_models_that_would_ignore_it_or_suffer_refuse(name, reason):
    config = MODELS[name]().with_settings(SETTINGS.get(name, {}))
    model = config.model_class(ITEMS, config)
    before = model.state()
    with pytest.raises(ConfigError, match=reason):
        fit(model, TRAIN, precision="bfloat16")
    assert all(torch.equal(value, before[key]) for key, value in model.state().items())


def test_models_of_examples_refuse():
    with pytest.raises(
        ConfigError, match="VAE cannot be trained with precision = bfloat16: its own setting `precision` is for that"
    ):
        fit(VAE((3,), VAEConfig(hidden_dims=(2,), latent_dim=1)), Examples(torch.rand(5, 3)), precision="bfloat16")
    with pytest.raises(
        ConfigError, match="CodePrior cannot be trained with precision = bfloat16: its loss is not declared"
    ):
        fit(CodePrior((3,)), Examples(torch.zeros(5, 3, dtype=torch.int64)), precision="bfloat16")


def test_an_unknown_precision_and_a_device_without_autocast_are_refused(monkeypatch):
    with pytest.raises(ConfigError, match="precision = 'float16': one of float32, bfloat16 was expected"):
        trained("multvae", "float16")
    monkeypatch.setattr(torch.amp.autocast_mode, "is_autocast_available", lambda device: device != "cpu")
    with pytest.raises(ConfigError, match=r"MultVAE cannot .*: PyTorch has no autocast for the device cpu"):
        trained("multvae", "bfloat16")
