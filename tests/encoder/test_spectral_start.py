"""The spectral start against dense algebra."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from xmlcli.encoder.spectral_start import spectral_tokens


def test_spectral_tokens_span_the_leading_right_singular_vectors() -> None:
    rng = np.random.default_rng(0)
    U, V = (np.linalg.qr(rng.standard_normal((rows, 6)))[0] for rows in (50, 30))
    words = sp.csr_matrix((U * [9, 8, 7, 1, 0.9, 0.8] @ V.T).astype(np.float32))
    found = spectral_tokens(words, 3, 0)
    assert (found.dtype, found.shape) == (np.float32, (30, 3))
    assert np.allclose(found.T @ found, np.eye(3), atol=1e-5)
    assert np.allclose(found @ found.T, V[:, :3] @ V[:, :3].T, atol=1e-3)
    assert found.tobytes() == spectral_tokens(words, 3, 0).tobytes()


@pytest.mark.parametrize("shape", [(5, 30), (30, 5)])
def test_spectral_tokens_beyond_the_rank_are_zero_columns(shape: tuple[int, int]) -> None:
    words = sp.csr_matrix(np.random.default_rng(1).random(shape).astype(np.float32))
    found = spectral_tokens(words, 12, 0)
    assert found.shape == (shape[1], 12)
    assert np.allclose(found[:, :5].T @ found[:, :5], np.eye(5), atol=1e-5)
    assert not found[:, 5:].any()
