import pytest
import torch

from foldin.kernels import products


@pytest.mark.parametrize("amd", [True, False])
@pytest.mark.parametrize("shape", [(30, 40, 500), (500, 40, 30), (40, 500, 30), (3, 3, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_way_of_cutting_gives_the_product(amd, shape, dtype, monkeypatch):
    monkeypatch.setattr(products, "_WORTH_IT", 1000)
    monkeypatch.setattr(products, "_is_amd", lambda: amd)
    m, k, n = shape
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(m, k, generator=generator, dtype=dtype, requires_grad=True)
    b = torch.randn(n, k, generator=generator, dtype=dtype).t()
    out = torch.full((m, n), torch.nan, dtype=dtype)
    found = products.matmul_into(out, a, b)
    assert found is out
    assert not found.requires_grad
    assert torch.allclose(found, a.detach() @ b, atol=1e-4)
    assert torch.equal(found, products.matmul_into(torch.empty_like(out), a, b))
