import os

import numpy as np
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # torch computes references here; its threads would only get in ours' way


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def make(rng):
    """make(batch, length, heads, dim): normal numbers, f32."""
    return lambda *shape: rng.standard_normal(shape, dtype=np.float32)
