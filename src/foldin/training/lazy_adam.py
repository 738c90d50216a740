"""Adam for tables of which a step meets few rows."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch.optim.adam import adam

from foldin.kernels import rows_of, stochastic_bfloat16
from foldin.tensors import Float, Int, Tensor

__all__ = ["LazyAdam"]

_BLOCK = 1 << 18  # entries that are updated at once, few enough to stay in the cache


class LazyAdam(torch.optim.Optimizer):
    """Adam that updates only the rows that a sparse gradient has; parameters with a dense gradient get Adam's update.

    Weights and moments of other rows stay as they are. The moments of a row are then those of the steps that met it, and their
    bias is corrected by the number of these steps: at the first of them the moments are (1 − β) of the gradient and of its
    square, however late it is. `torch.optim.SparseAdam` and TensorFlow's LazyAdam correct by the number of all steps, so that the
    first update of a row met late is (1 − β₁) / √(1 − β₂) ≈ 3 learning rates, not 1. For a row that every step meets, all three
    are Adam.

    A table in bfloat16 keeps its first moments in bfloat16 too, and one second moment for each row, of the mean of its squared
    gradients. The update is computed in float32 and added by stochastic rounding, so that its expectation is that of float32. Its
    noise is a function of the number of the step, so that a resumed training continues with the same bits. The gradient itself is
    in bfloat16, with relative errors of 2⁻⁹.

    Args:
        parameters: parameters or groups of them, as for `torch.optim.Adam`.
        lr: learning rate.
        betas: decay of the first and the second moments at each step.
        eps: number added to the root of the second moments.
        weight_decay: multiple of a weight that is added to its gradient; of a table, only in the steps that meet the row.

    Source: kingma2015, algorithm 1; shazeer2018, section 3 (fewer second moments than weights).
    """

    def __init__(
        self,
        parameters: Iterable[torch.nn.Parameter] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; returns what the closure returns, if there is one."""
        value = None
        if closure is not None:
            with torch.enable_grad():
                value = closure()
        index = 0
        for group in self.param_groups:
            dense = []
            for parameter in group["params"]:
                if parameter.grad is not None and parameter.grad.is_sparse:
                    self._update_rows(parameter, group, index)
                elif parameter.grad is not None:
                    dense.append(parameter)
                index += 1
            if dense:
                self._update(dense, group)
        return value

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from the result of `state_dict`; unlike PyTorch's, it keeps the type of every tensor."""
        super().load_state_dict(dict(state_dict))
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        for index, entries in state_dict["state"].items():
            parameter = parameters[int(index)]
            self.state[parameter] = {name: one.to(parameter.device, copy=True) for name, one in entries.items()}

    def _update(self, parameters: list[torch.nn.Parameter], group: Mapping[str, Any]) -> None:
        """Adam's update of parameters with dense gradients."""
        for one in parameters:
            if not self.state[one]:
                self.state[one] = {
                    "step": torch.zeros((), device=one.device),
                    "exp_avg": torch.zeros_like(one),
                    "exp_avg_sq": torch.zeros_like(one),
                }
        states = [self.state[one] for one in parameters]
        tensors: list[torch.Tensor] = list(parameters)
        adam(
            tensors,
            [one.grad for one in parameters if one.grad is not None],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            fused=True,
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )

    def _begun(self, table: torch.nn.Parameter) -> dict[str, Tensor]:
        """The state of a table, zeros at first: memory of rows that are never met is never touched."""
        state: dict[str, Tensor] = self.state[table]
        if not state:
            by_row = table.dtype == torch.bfloat16
            shape, kind = (table.shape[:1], torch.float32) if by_row else (table.shape, table.dtype)
            state["step"] = torch.zeros(len(table), dtype=torch.int32, device=table.device)  # of each row
            state["updates"] = torch.zeros((), dtype=torch.int64)
            state["exp_avg"] = torch.zeros(table.shape, dtype=table.dtype, device=table.device)
            state["exp_avg_sq"] = torch.zeros(shape, dtype=kind, device=table.device)
        return state

    def _update_rows(self, table: torch.nn.Parameter, group: Mapping[str, Any], index: int) -> None:
        """Adam's update of the rows that the table's gradient has; `index` is the place of the table among the parameters."""
        assert table.grad is not None
        rows, gradients = rows_of(table.grad)
        state = self._begun(table)
        state["updates"] += 1
        state["step"].index_add_(0, rows, torch.ones_like(rows, dtype=torch.int32))
        seed = np.random.SeedSequence((int(state["updates"]), index)).generate_state(1, np.uint64)[0] >> 1
        noise = torch.Generator(table.device).manual_seed(int(seed))
        step = max(1, _BLOCK * len(table) // max(1, table.numel()))
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            _update_block(table, rows[part], gradients[part], state, group, noise)


def _update_block(
    table: Float[Tensor, "items *width"],
    rows: Int[Tensor, " rows"],
    gradient: Float[Tensor, "rows *width"],
    state: Mapping[str, Tensor],
    group: Mapping[str, Any],
    noise: torch.Generator,
) -> None:
    """Adam's update of some rows of a table and of their moments, in place."""
    low, (beta1, beta2) = table.dtype == torch.bfloat16, group["betas"]
    along = (-1, *(1 for _ in table.shape[1:]))

    def taken(of: Tensor) -> Tensor:
        found = of.index_select(0, rows)
        return found.float() if low else found

    times = taken(state["step"]).double().view(along)
    weights, g = taken(table), gradient.float() if low else gradient
    if group["weight_decay"]:
        g = g.add(weights, alpha=group["weight_decay"])
    mean, square = taken(state["exp_avg"]), taken(state["exp_avg_sq"])
    mean.lerp_(g, 1.0 - beta1)
    if low:
        square.mul_(beta2).add_(g.square().view(len(g), -1).mean(dim=1), alpha=1.0 - beta2)
    else:
        square.mul_(beta2).addcmul_(g, g, value=1.0 - beta2)
    state["exp_avg"].index_copy_(0, rows, mean.to(table.dtype))
    state["exp_avg_sq"].index_copy_(0, rows, square)
    root = square.view(along if low else square.shape).mul((1.0 / (1.0 - beta2**times)).to(g.dtype)).sqrt_()
    scale = (group["lr"] / (1.0 - beta1**times)).to(g.dtype)
    weights.sub_(mean.mul_(scale).div_(root.add_(group["eps"])))
    table.index_copy_(0, rows, stochastic_bfloat16(weights, noise) if low else weights)
