from __future__ import annotations

import pytest
import torch

from thalweg.nn.softmax import FEW, log_softmax, softmax


@pytest.mark.parametrize("classes", [1, 2, FEW - 1, FEW, 100])
@pytest.mark.parametrize("members", [(), (3,)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_layout_does_not_change_the_values(classes, members, dtype):
    g = torch.Generator().manual_seed(classes)
    x = torch.randn(*members, 17, classes, generator=g, dtype=dtype)
    torch.testing.assert_close(softmax(x), torch.softmax(x, -1))
    torch.testing.assert_close(log_softmax(x), torch.log_softmax(x, -1))
