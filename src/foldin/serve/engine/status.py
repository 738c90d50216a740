"""The models in service, as they are here and as the database says."""

from foldin.models import PosteriorSampler, capability
from foldin.runs import without_secrets
from foldin.serve.engine.deployment import Deployment
from foldin.serve.engine.fleet import Fleet
from foldin.serve.engine.routing import refused
from foldin.serve.schemas import DeploymentOut, ModelOut, ModelsOut
from foldin.serve.storage.fleet_state import DeploymentRow

__all__ = ["models", "problems"]

_SHORT = 12  # characters of a digest


def models(fleet: Fleet) -> ModelsOut:
    """The models that this process serves, and those that all processes are to serve."""
    state = fleet.state
    return ModelsOut(
        models=[_served(fleet, one) for one in fleet.registry.all()],
        deployments=[_wanted(fleet, row) for row in state.rows.values()],
        revision=state.revision,
    )


def problems(fleet: Fleet) -> dict[str, str]:
    """Why models are not what the database says, by name of the model."""
    troubles = {name: fleet.trouble(name) for name in fleet.state.rows}
    return {name: trouble.reason for name, trouble in troubles.items() if trouble is not None}


def _served(fleet: Fleet, one: Deployment) -> ModelOut:
    registry, row = fleet.registry, fleet.state.rows.get(one.name)
    return ModelOut(
        name=one.name,
        kind=one.run.name,
        run=one.digest,
        items=len(one.run.catalog),
        has_likelihood=one.run.model.has_likelihood,
        has_posterior=capability(one.run.model, PosteriorSampler) is not None,
        default=one.name == registry.default,
        share=registry.shares.get(one.name),
        can_roll_back=registry.previous(one.name) is not None if row is None else row.previous is not None,
        waiting=one.waiting(),
        attributes=one.view.filters.names,
        attribute_kinds=one.view.filters.kinds,
        refused=refused(one),
        repeats=one.repeats,
    )


def _wanted(fleet: Fleet, row: DeploymentRow) -> DeploymentOut:
    serving, trouble = fleet.registry.serving(row.name), fleet.trouble(row.name)
    return DeploymentOut(
        name=row.name,
        generation=row.generation,
        run=without_secrets(row.run.uri),
        wanted=None if row.retired else row.run.digest[:_SHORT],
        serving=None if serving is None else serving.digest,
        problem=None if trouble is None else trouble.reason,
        previous=None if row.previous is None else row.previous.digest[:_SHORT],
        default=row.default,
        share=row.share,
        retired=row.retired,
        changed=row.changed,
    )
