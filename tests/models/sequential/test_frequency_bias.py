import pytest
import torch

from foldin.models import FrequencyBias
from foldin.models.sequential.frequency_bias import filtered, low_pass
from foldin.nn import Places, TransformerShape

WINDOW, EVENTS, WIDTH = 9, 6, 4


def by_transform(x: torch.Tensor, window: int, cutoff: int) -> torch.Tensor:
    """The last event of x after the low-pass filter of x as the end of a window, by PyTorch's transform."""
    padded = torch.cat((torch.zeros(window - len(x), x.shape[1]), x))
    spectrum = torch.fft.rfft(padded, dim=0)
    spectrum[cutoff:] = 0
    return torch.fft.irfft(spectrum, n=window, dim=0)[-1]


@pytest.mark.parametrize("window", [WINDOW, 8])
@pytest.mark.parametrize("cutoff", [1, 2, 3, 4, 5])
def test_each_event_is_filtered_in_the_window_that_ends_with_it(window, cutoff):
    x = torch.randn(window, WIDTH, generator=torch.Generator().manual_seed(0))
    at = torch.arange(window).unsqueeze(0)
    expected = torch.stack([by_transform(x[: n + 1], window, cutoff) for n in range(window)])
    assert torch.allclose(filtered(x.unsqueeze(0), low_pass(window, cutoff), at, at)[0], expected, atol=1e-6)


def test_the_mean_passes_first_and_all_frequencies_at_last():
    assert torch.allclose(low_pass(5, 1), torch.full((5,), 0.2))
    for cutoff in (3, 7):
        assert torch.allclose(low_pass(5, cutoff), torch.eye(5)[0], atol=1e-6)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_the_layer_is_its_formula(alpha):
    shape = TransformerShape(width=WIDTH, length=WINDOW)
    layer = FrequencyBias(alpha=alpha, cutoff=2).layer(shape, torch.Generator().manual_seed(0), torch.device("cpu"))
    x = torch.randn(2, EVENTS, WIDTH, generator=torch.Generator().manual_seed(1))
    places = Places(torch.arange(EVENTS).unsqueeze(0), None)
    found, _ = layer(x, x, places, None)
    attended, _ = layer.attention(x, x, places, None)
    for user in range(2):
        for at in range(EVENTS):
            low = by_transform(x[user, : at + 1], WINDOW, 2)
            biased = low + layer.beta**2 * (x[user, at] - low)
            assert torch.allclose(found[user, at], alpha * biased + (1 - alpha) * attended[user, at], atol=1e-5)
