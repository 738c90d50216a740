"""Base class of variational recommenders, which are latent-variable models of histories."""

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
import torch

from foldin.data import Histories
from foldin.inference import Bound, gaussian_kl, log_normal, reparameterize
from foldin.kernels import multinomial_log_likelihood
from foldin.models.capability import LatentPosterior, PosteriorSampler
from foldin.models.contract import Recommender
from foldin.models.streams import Streams
from foldin.tensors import Float, Tensor
from foldin.training import Config
from foldin.transfers import sent

__all__ = ["Variational"]

_AT_ONCE = 32  # draws
C = TypeVar("C", bound=Config)


class Variational(Recommender[C], LatentPosterior, PosteriorSampler):
    """A recommender with q(z|x) = N(μ(x), diag σ²(x)), p(x|z) multinomial, and a prior p(z), or p(z|x) if it is adaptive.

    A subclass sets `standard_prior`, and `prior_sees_data` if its prior depends on the history, and implements `posterior`,
    `decode` and `differentiable_log_likelihood`, and `log_prior` if the prior is not the standard normal.
    """

    has_likelihood = True

    def _check(self, data: Histories) -> None:
        self.check_histories(data)

    def log_likelihood(self, z: Float[Tensor, "users latent"], histories: Histories) -> Float[Tensor, " users"]:
        """log p(x | z) of each user's items, in nats; without a gradient."""
        items, offsets = histories.tensors(self.device)
        return multinomial_log_likelihood(self.decode(z), items, offsets)

    @torch.no_grad()
    def simulated(
        self, z: Float[Tensor, "users latent"], histories: Histories, generator: torch.Generator
    ) -> Histories | None:
        """Histories of the same lengths, whose items are drawn from p(item | z) one by one, so that items may repeat.

        The model's log-likelihood is that of this distribution: of a sequence of draws, not of a set.
        """
        lengths = sent(histories.lengths, self.device)
        if len(histories) == 0 or int(lengths.max()) == 0:
            return Histories.empty(len(histories), self.n_items)
        drawn = torch.multinomial(
            self.decode(z).softmax(dim=1), int(lengths.max()), replacement=True, generator=generator
        )
        kept = torch.arange(drawn.shape[1], device=self.device) < lengths.unsqueeze(1)
        items = drawn[kept].cpu().numpy().astype(np.int32)
        offsets = histories.offsets - histories.offsets[0]
        return Histories(items=items, offsets=offsets, n_items=self.n_items, user_features=histories.user_features)

    def drawn_logits(self, histories: Histories, streams: Streams) -> Iterator[Float[Tensor, "users items"]]:
        mu, logvar = self.posterior(histories)
        sd = (0.5 * logvar).exp()
        # Several draws are decoded together, since a product with a single row reads all weights for it.
        at_once = max(1, min(_AT_ONCE, self.block() // (4 * max(1, len(histories)))))
        while True:
            noise = np.stack([streams.normals(mu.shape[1]) for _ in range(at_once)])
            z = mu + sd * sent(noise, self.device)
            yield from self.decode(z.flatten(0, 1)).unflatten(0, (at_once, len(histories)))

    def _logits(self, histories: Histories) -> Float[Tensor, "users items"]:
        return self.decode(self.posterior(histories)[0])

    @torch.no_grad()
    def bound(self, histories: Histories, generator: torch.Generator) -> Bound:
        """The evidence lower bound on log p(x) of each user, in nats, by one draw of z.

        A prior that depends on the history gives no bound on log p(x); the standard normal is used in its place.

        Source: kingma2014, eq. 7, or eq. 6 under another prior.
        """
        self.check_histories(histories)
        step = self.block()
        return Bound.of_blocks(
            [self._bound(histories.rows(at, at + step), generator) for at in range(0, max(1, len(histories)), step)]
        )

    def _bound(self, histories: Histories, generator: torch.Generator) -> Bound:
        mu, logvar = self.posterior(histories)
        z = reparameterize(mu, logvar, generator)
        normal = self.standard_prior or self.prior_sees_data
        kl = gaussian_kl(mu, logvar) if normal else log_normal(z, mu, logvar) - self.log_prior(z, histories)
        prior = "z ~ N(0, I)" if normal else "z from the learned prior"
        return Bound(
            f"log p(x) of the events as draws from one distribution, {prior}",
            {"E log p(x|z)": self.log_likelihood(z, histories), "−KL(q(z|x) ‖ p(z))": -kl},
        )
