"""A latent-variable model whose log p(x) and posterior are known."""

import math

import torch
from torch.distributions import MultivariateNormal

from foldin.data import Examples
from foldin.inference import LatentModel, gaussian_kl


class LinearGaussian(LatentModel[Examples]):
    """z ~ N(0, I), x ~ N(Wz, s² I). The encoder gives the best diagonal Gaussian, moved by what a test asks for."""

    standard_prior = True
    device = torch.device("cpu")

    def __init__(self, latent, width, *, scale=1.0, s2=1.0, seed=0, orthogonal=False, shift=0.0, widen=0.0):
        generator = torch.Generator().manual_seed(seed)
        self.s2, self.shift, self.widen = s2, shift, widen
        self.W = scale * torch.randn(width, latent, generator=generator, dtype=torch.float64)
        if orthogonal:  # a diagonal posterior
            self.W = torch.linalg.qr(self.W)[0] * torch.linspace(0.3, 3.0, latent, dtype=torch.float64)
        eye = torch.eye(latent, dtype=torch.float64)
        self.precision = eye + self.W.T @ self.W / s2
        self.covariance = torch.linalg.inv(self.precision)
        covariance = self.W @ self.W.T + s2 * torch.eye(width, dtype=torch.float64)
        self.evidence = MultivariateNormal(torch.zeros(width, dtype=torch.float64), covariance)

    def data(self, rows, seed=1):
        generator = torch.Generator().manual_seed(seed)
        z = torch.randn(rows, self.W.shape[1], generator=generator, dtype=torch.float64)
        noise = torch.randn(rows, len(self.W), generator=generator, dtype=torch.float64)
        return Examples(z @ self.W.T + self.s2**0.5 * noise)

    def best(self, data):
        """(μ, log σ²) of the diagonal Gaussian with the highest bound."""
        mean = data.values @ self.W @ self.covariance / self.s2
        return mean, -self.precision.diagonal().log().expand(len(mean), -1)

    def exact_elbo(self, data, mu, logvar):
        residual = (data.values - mu @ self.W.T).square().sum(1) + (logvar.exp() @ self.W.square().T).sum(1)
        likelihood = -0.5 * (residual / self.s2 + len(self.W) * math.log(2 * math.pi * self.s2))
        return likelihood - gaussian_kl(mu, logvar)

    def _check(self, data):
        pass

    def block(self):
        return 1000

    def tensors(self):
        return {}

    def posterior(self, data):
        mu, logvar = self.best(data)
        return mu + self.shift, logvar + self.widen

    def differentiable_log_likelihood(self, z, data):
        away = (data.values - z @ self.W.T).square().sum(1)
        return -0.5 * (away / self.s2 + len(self.W) * math.log(2 * math.pi * self.s2))

    def log_likelihood(self, z, data):
        return self.differentiable_log_likelihood(z, data)

    def simulated(self, z, data, generator):
        noise = torch.randn(len(z), len(self.W), generator=generator, dtype=torch.float64)
        return Examples(z @ self.W.T + self.s2**0.5 * noise)
