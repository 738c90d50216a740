"""`foldin models`: the models and their settings."""

import dataclasses
from typing import Any

import click

from foldin.cli.options import JSON, ModelName
from foldin.cli.output import json_out, out, table
from foldin.models import MODELS

__all__ = ["command"]


def _settings(name: str) -> dict[str, dict[str, Any]]:
    fields = dataclasses.fields(MODELS[name])
    return {field.name: {"default": field.default, "help": field.metadata["help"]} for field in fields}


@click.command()
@click.argument("name", type=ModelName(), required=False)
@JSON
def command(name: str | None, as_json: bool) -> None:
    """List the models, or the settings of the model NAME: what `--set field=value` can change.

    \b
    Example:
      foldin models multvae
    """
    if as_json:
        chosen = [name] if name else list(MODELS)
        json_out({one: {"summary": MODELS[one].model_class.summary, "settings": _settings(one)} for one in chosen})
    elif name is None:
        kinds = {one: MODELS[one].model_class for one in MODELS}
        rows = [(one, kind.summary, "yes" if kind.has_likelihood else "no") for one, kind in kinds.items()]
        out().print(table("Models", ("name", "", "likelihood"), rows, left=3))
    else:
        rows = [(field, _text(about["default"]), about["help"]) for field, about in _settings(name).items()]
        out().print(table(f"{name}: {MODELS[name].model_class.summary}", ("setting", "default", ""), rows, left=3))


def _text(value: Any) -> str:
    """A default as `--set` would be given it."""
    return (
        ",".join(map(str, value)) if isinstance(value, tuple) else str(value).lower() if value is None else str(value)
    )
