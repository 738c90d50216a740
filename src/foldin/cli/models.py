"""`foldin models`: the models and their settings."""

from typing import Any

import click

from foldin.cli.options import JSON, ModelName
from foldin.cli.output import json_out, out, status, table
from foldin.models import MODELS
from foldin.training import alike, setting_text, settings_of

__all__ = ["command"]


@click.command()
@click.argument("name", type=ModelName(), required=False)
@JSON
def command(name: str | None, as_json: bool) -> None:
    """List the models, or the settings of the model NAME, which `--set field=value` changes.

    A setting with a dot belongs to an option of the setting before the dot.

    \b
    Example:
      foldin models multvae
    """
    if as_json:
        chosen = [name] if name else list(MODELS.usable())
        json_out(
            {one: {"summary": MODELS[one].model_class.summary, "settings": settings_of(MODELS[one])} for one in chosen}
        )
    elif name is None:
        kinds = {one: config.model_class for one, config in MODELS.usable().items()}
        for one in MODELS:
            if one not in kinds:
                status(f"{one} is not listed: the package {MODELS.package(one)} cannot be imported")
        rows = [(one, kind.summary, "yes" if kind.has_likelihood else "no") for one, kind in kinds.items()]
        out().print(table("Models", ("name", "", "likelihood"), rows, left=3))
    else:
        settings = settings_of(MODELS[name]).items()
        told = [(field, _default(about), about.get("range", ""), _meaning(about)) for field, about in settings]
        head = ("setting", "default", "searched by tune", "")
        out().print(table(f"{name}: {MODELS[name].model_class.summary}", head, told, left=4))


def _meaning(about: dict[str, Any]) -> str:
    """Help of a setting, with the options that it belongs to and the options that it chooses among."""
    belongs = [
        f"{chooser}={' or '.join(ways if alike(ways) else (f'{way} ({setting_text(one)})' for way, one in ways.items()))}"
        for chooser, ways in about.get("with", {}).items()
    ]
    text = about["help"] + (f" With {', '.join(belongs)}." if belongs else "")
    return text + "".join(f"\n{way}: {meaning}" for way, meaning in about.get("options", {}).items())


def _default(about: dict[str, Any]) -> str:
    """The default; empty where it differs between the options that a setting belongs to, since `_meaning` lists those."""
    return setting_text(about["default"]) if all(map(alike, about.get("with", {}).values())) else ""
