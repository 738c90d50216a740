"""Health of a latent code: active units, effective rank, and alarms in words."""

import torch

from foldin.tensors import Float, Tensor

__all__ = ["active_units", "alarms", "effective_rank"]


def active_units(mu: Float[Tensor, "users latent"], threshold: float = 0.01) -> int:
    """Number of latent dimensions whose posterior mean has a variance over users above `threshold`.

    Source: burda2016, section 5.2.
    """
    return int((mu.var(dim=0) > threshold).sum())


def effective_rank(mu: Float[Tensor, "users latent"]) -> float:
    """Effective rank of the posterior means over users: exp of the entropy of the normalized spectrum of Cov(μ).

    Between 1 and the number of latent dimensions.
    Source: roy2007.
    """
    centered = (mu - mu.mean(dim=0)).double()
    spectrum = torch.linalg.eigvalsh(centered.T @ centered / max(1, len(mu) - 1)).clamp(min=0.0)
    shares = spectrum / spectrum.sum().clamp(min=1e-300)
    return float(torch.exp(-(shares * torch.log(shares.clamp(min=1e-300))).sum()))


def alarms(
    *,
    kl: float,
    active: int,
    latent: int,
    mutual_information: float,
    marginal_kl: float,
    log_users: float,
    row: str = "user",
    rows: str = "users",
) -> list[str]:
    """Descriptions of what is wrong with a latent code; empty if nothing is.

    Args:
        kl: mean KL of a user, in nats.
        active: number of active units, out of `latent`.
        mutual_information, marginal_kl: terms of the decomposition of the KL, in nats.
        log_users: log N, the largest possible mutual information, in nats.
        row, rows: names of a row and of rows in the messages.
    """
    found = []
    if active == 0 or kl < 0.1:
        found.append(
            f"the posterior has collapsed: {active} of {latent} units are active, the KL is {kl:.3f} nats a {row}"
        )
    elif active < 0.1 * latent:
        found.append(f"most of the code is idle: {active} of {latent} units are active")
    if mutual_information > 0.99 * log_users:
        found.append(
            f"the mutual information is at its ceiling log N = {log_users:.2f} nats: with more {rows} it would be larger, and "
            f"KL(q(z) ‖ p(z)) = {marginal_kl:.1f} smaller"
        )
    elif marginal_kl > max(1.0, mutual_information):
        found.append(
            f"the prior is ignored: the aggregate posterior is {marginal_kl:.1f} nats from it, more than the "
            f"{mutual_information:.1f} nats of information on the {row}; samples from the prior do not look like {rows}"
        )
    return found
