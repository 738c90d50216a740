"""The best Gaussian q for each row, which divides the gap of a bound into approximation and amortization.

    log p(x) − ELBO(q)  =  [log p(x) − ELBO(q*)]  +  [ELBO(q*) − ELBO(q)]
         gap                  approximation              amortization

with q* the best member of the family for each row, sought by ascent from the encoder's q. The ascent reaches q* at best, so
that the amortization gap is at least the measured one.

Draws come in pairs ±ε, for which the gradient in μ has no noise where log p(x, z) is quadratic in z. First L-BFGS brings μ near
its optimum. Then follow natural-gradient steps for both parameters of the Gaussian, with precision s = 1/σ²,

    s ← s (1 − 2ρ ∂L/∂log σ²),    μ ← μ + ρ ∂L/∂μ / s

which adapt to the scale of the posterior however wrong that of the encoder is (ρ = 1 solves a quadratic with a diagonal Hessian
in one step). Once the bound stops rising, ρ falls as 1/step. At each check, on the same draws for all checks, the best q of each
row is kept, and a row that has become clearly worse returns to its best q and halves its rate. At the end, fresh draws decide
whether the best q of a row is better than its start at all.

Source: cremer2018, eqs. 5 and 6; khan2017 (natural gradients, eqs. 5–8); nocedal2006, algorithms 7.4 and 3.1 (L-BFGS).
"""

import math
from collections.abc import Callable

import torch

from foldin.inference.elbo import perturbed
from foldin.tensors import Float, Tensor

__all__ = ["refine_gaussian"]

Bound = Callable[[Tensor, Tensor, Tensor], Tensor]
_ASCENT, _MEMORY, _HALVINGS = 60, 10, 12  # most steps of L-BFGS, pairs that it keeps, reductions of a step
_EVERY, _PAIRS, _DECIDING = 8, 4, 32  # steps between checks; pairs of draws of a check, and of the final decision
_FALL, _LONG = 1.5, 5.0  # in the final phase ρ is at most the first divided by (the second + steps since its start)
_SLACK = 0.2  # nats per latent dimension that a row may fall below its best, which is fitted to few draws
_LOW = 0.8  # smallest factor of a step on a precision, since one pair of draws may show no curvature at all


def refine_gaussian(
    bound: Bound,
    mu: Float[Tensor, "users latent"],
    logvar: Float[Tensor, "users latent"],
    generator: torch.Generator,
    *,
    steps: int = 200,
    learning_rate: float = 0.3,
    tolerance: float = 0.01,
) -> tuple[Float[Tensor, "users latent"], Float[Tensor, "users latent"]]:
    """(μ, log σ²) of the q optimized for each row by ascent on the bound; the start itself where nothing better is found.

    Args:
        bound: (z, μ, log σ²) → each row's single-draw bound in nats, differentiable in all three.
        mu, logvar: start of the ascent: the output of the encoder.
        generator: generator of all draws.
        steps: maximum number of natural-gradient steps, each with two draws of z for each row; L-BFGS takes as many before, but
            no more than 60.
        learning_rate: initial ρ of every row.
        tolerance: gain in nats, averaged over rows. Once the gain between two checks is smaller, or a third of the steps is done,
            ρ falls over the remaining steps; these are omitted if the gain since the start is smaller too.
    """
    start = mu.detach().clone(), logvar.detach().clone()
    if steps < 1:
        return start
    noise = [_noise(mu, generator) for _ in range(_PAIRS)]
    begun = _over(bound, *start, noise).mean(dim=0)
    best, reached = start, begun

    def check(now: tuple[Tensor, Tensor]) -> tuple[Tensor, float]:
        """(rows that are clearly worse than their best, mean gain in nats); updates the best q of each row."""
        nonlocal best, reached
        found = _over(bound, *now, noise).mean(dim=0)
        lost = ~(found > reached - _SLACK * mu.shape[1])
        better = found > reached
        gain = torch.where(better, found - reached, 0.0)
        best = _chosen(better, now, best)
        reached = reached + gain
        return lost, float(gain.mean())

    check((_ascended(bound, *start, noise[0], min(steps, _ASCENT), tolerance), start[1]))
    now, rate, turn = best, torch.full_like(mu[:, :1], learning_rate), None
    for step in range(1, steps + 1):
        _, slope, slope_logvar = _gradients(bound, *now, _noise(mu, generator))
        rho = rate if turn is None else rate.clamp(max=_FALL / (_LONG + step - turn))
        precision = (1.0 - 2.0 * rho * slope_logvar).clamp(_LOW, 1e6)
        moved = now[0] + rho * torch.exp(now[1]) / precision * slope
        now = moved, now[1] - torch.log(precision)
        if step % _EVERY and step < steps:
            continue
        lost, gain = check(now)
        if turn is None:
            rate = torch.where(lost.unsqueeze(1), rate / 2, rate)
            now = _chosen(lost, best, now)
        if turn is None and (gain < tolerance or step >= steps / 3):
            turn = step
            if float((reached - begun).mean()) < tolerance:  # the start cannot be improved
                break
    # The best q on few draws is fitted to them; the last q is an average over many.
    fresh = [_noise(mu, generator) for _ in range(_DECIDING)]
    first, middle, last = (_over(bound, *one, fresh) for one in (start, best, now))
    later = last.mean(dim=0) > middle.mean(dim=0)
    found = _chosen(later, now, best)
    difference = torch.where(later, last, middle) - first
    error = difference.std(dim=0) / math.sqrt(_DECIDING)
    return _chosen(difference.mean(dim=0) > 2.0 * error, found, start)


def _chosen(which: Tensor, first: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """`first` in the marked rows, `other` in the rest."""
    at = which.unsqueeze(1)
    return torch.where(at, first[0], other[0]), torch.where(at, first[1], other[1])


def _noise(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator, device=like.device, dtype=like.dtype)


@torch.no_grad()
def _over(bound: Bound, mu: Tensor, logvar: Tensor, noise: list[Tensor]) -> Float[Tensor, "pairs users"]:
    """Each row's bound in nats for every pair of draws ±ε, averaged over the pair; −∞ where it is not a number."""
    halves = [[bound(perturbed(mu, logvar, sign * one), mu, logvar) for sign in (1.0, -1.0)] for one in noise]
    return torch.stack([(one + other) / 2 for one, other in halves]).double().nan_to_num(nan=-math.inf)


def _gradients(bound: Bound, mu: Tensor, logvar: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(each row's bound in nats, its gradients in μ and in log σ²), averaged over a pair of draws ±ε."""
    mu, logvar = mu.detach().requires_grad_(), logvar.detach().requires_grad_()
    total = torch.zeros(len(mu), dtype=torch.float64, device=mu.device)
    with torch.enable_grad():
        for sign in (1.0, -1.0):
            half = bound(perturbed(mu, logvar, sign * noise), mu, logvar)
            (half.sum() / 2).backward()
            total += half.detach() / 2
    assert mu.grad is not None
    assert logvar.grad is not None
    return total, mu.grad.nan_to_num(0.0, 0.0, 0.0), logvar.grad.nan_to_num(0.0, 0.0, 0.0)


def _ascended(
    bound: Bound, mu: Tensor, logvar: Tensor, noise: Tensor, steps: int, tolerance: float
) -> Float[Tensor, "users latent"]:
    """μ of each row after L-BFGS, in units of σ, on the bound of one pair of draws, with a separate line search for each row."""
    scale = torch.exp(0.5 * logvar)
    value, slope, _ = _gradients(bound, mu, logvar, noise)
    slope = slope * scale
    memory: list[tuple[Tensor, Tensor, Tensor]] = []
    stuck = torch.zeros_like(mu[:, :1], dtype=torch.bool)  # rows whose next direction is the gradient itself
    for _ in range(steps):
        direction = _two_loops(slope, memory)
        # Without a memory the first step is no longer than one standard deviation.
        if not memory:
            direction = direction / direction.norm(dim=1, keepdim=True).clamp(min=1.0)
        rise = (direction * slope).sum(dim=1, keepdim=True)
        unusable = (rise <= 0.0) | stuck | ~rise.isfinite()
        direction = torch.where(unusable, slope / slope.norm(dim=1, keepdim=True).clamp(min=1.0), direction)
        rise = torch.where(unusable, (direction * slope).sum(dim=1, keepdim=True), rise)
        length = torch.ones_like(rise)
        for _ in range(_HALVINGS):
            there = mu + length * direction * scale
            found, slope_there, _ = _gradients(bound, there, logvar, noise)
            short = (found < value + 1e-4 * (length * rise).squeeze(1)) | ~found.isfinite()
            if not bool(short.any()):
                break
            length = torch.where(short.unsqueeze(1), length / 4, length)
        kept = (found > value).unsqueeze(1)
        stuck = ~kept
        gain = torch.where(kept.squeeze(1), found - value, 0.0)
        slope_there = torch.where(kept, slope_there * scale, slope)
        step, change = torch.where(kept, length * direction, 0.0), slope - slope_there
        memory = [*memory[1 - _MEMORY :], (step, change, (step * change).sum(dim=1, keepdim=True))]
        mu, value, slope = torch.where(kept, there, mu), value + gain, slope_there
        if float(gain.max()) < tolerance:
            break
    return mu


def _two_loops(slope: Tensor, memory: list[tuple[Tensor, Tensor, Tensor]]) -> Float[Tensor, "users latent"]:
    """The L-BFGS direction of ascent of each row; steps along which its slope did not fall are left out."""
    direction, factors = slope, []
    for step, change, curvature in reversed(memory):
        use = curvature > 1e-12
        factor = torch.where(use, (step * direction).sum(dim=1, keepdim=True) / curvature.clamp(min=1e-12), 0.0)
        factors.append(factor)
        direction = direction - factor * change
    if memory:
        scaled = torch.ones_like(slope[:, :1])
        for _step, change, curvature in memory:
            scaled = torch.where(
                curvature > 1e-12, curvature / change.square().sum(dim=1, keepdim=True).clamp(min=1e-30), scaled
            )
        direction = scaled * direction
    for (step, change, curvature), factor in zip(memory, reversed(factors), strict=True):
        use = curvature > 1e-12
        again = torch.where(use, (change * direction).sum(dim=1, keepdim=True) / curvature.clamp(min=1e-12), 0.0)
        direction = direction + (factor - again) * step
    return direction
