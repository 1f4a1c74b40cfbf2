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
    assert (np.take_along_axis(found, np.abs(found).argmax(axis=0)[None], axis=0) > 0).all()


def test_singular_vectors_come_by_falling_value_and_with_their_largest_entry_positive() -> None:
    A = np.zeros((4, 6), np.float32)
    A[0, 2], A[1, [0, 4]], A[2, 5], A[3, 1] = 2, (-3, 1), 1, 4
    found = spectral_tokens(sp.csr_matrix(A), 4, 0)
    wanted = np.zeros((6, 4))
    wanted[1, 0], wanted[[0, 4], 1], wanted[2, 2], wanted[5, 3] = 1, np.array([3, -1]) / 10**0.5, 1, 1
    assert np.allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("shape", [(5, 30), (30, 5)])
def test_spectral_tokens_beyond_the_rank_are_zero_columns(shape: tuple[int, int]) -> None:
    words = sp.csr_matrix(np.random.default_rng(1).random(shape).astype(np.float32))
    found = spectral_tokens(words, 12, 0)
    assert found.shape == (shape[1], 12)
    assert np.allclose(found[:, :5].T @ found[:, :5], np.eye(5), atol=1e-5)
    assert not found[:, 5:].any()
