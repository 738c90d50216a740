"""Diffusion as functions of a denoiser: noise schedules, samplers, the likelihood by the probability flow, the bound."""

from foldin.diffusion.bound import DiffusionBound, log_gaussian, reverse_kl
from foldin.diffusion.flow import log_likelihood_by_flow
from foldin.diffusion.reverse import Coefficients, coefficients
from foldin.diffusion.samplers import Denoise, Denoised, ancestral, ddim, dpm_solver, evenly, evenly_in_snr, guided
from foldin.diffusion.schedule import PREDICTIONS, NoiseSchedule
from foldin.diffusion.step_sampler import StepSampler

__all__ = [
    "PREDICTIONS",
    "Coefficients",
    "Denoise",
    "Denoised",
    "DiffusionBound",
    "NoiseSchedule",
    "StepSampler",
    "ancestral",
    "coefficients",
    "ddim",
    "dpm_solver",
    "evenly",
    "evenly_in_snr",
    "guided",
    "log_gaussian",
    "log_likelihood_by_flow",
    "reverse_kl",
]
