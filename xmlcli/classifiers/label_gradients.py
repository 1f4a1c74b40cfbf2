"""The masked logistic loss of a batch: its gradients by classifiers and by documents, formed by hand.

Labels are cut into slices. A thread computes the loss of a slice and moves its classifiers at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import Executor

import numpy as np
import torch
import torch.nn.functional as F

from xmlcli.classifiers.targets import Targets
from xmlcli.classifiers.training_state import Classifiers
from xmlcli.machine.threads import map_on_threads, num_threads
from xmlcli.machine.torch_threads import matrix_dtype

_LABELS = 32  # that a slice is filled up to an odd multiple of
_SLICE = 1024  # labels at most, about, whose loss one thread computes at a time: what they need fits its cache

Move = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], None]
"""Moves labels int64 (U,) against the gradients by their weights, float32 (U, D), and biases, float32 (U, 1)."""


def label_gradients(
    documents: torch.Tensor, classifiers: Classifiers, targets: Targets, move: Move, pool: Executor
) -> torch.Tensor:
    """Return the gradient by documents, float32 (B, D), of a batch's masked logistic loss; `move` gets those by labels.

    documents: float32 (B, D). Each thread computes the loss of a slice of the labels and moves them at once, while they
    are in its cache. Slices are filled up, with a label that then counts nothing, to sizes that come again: a product
    may be prepared for each shape anew, which takes as long as the product.
    """
    device, U = documents.device, len(targets.labels)
    dtype = matrix_dtype(device.type)
    size = slice_size(U, num_threads()) if device.type == "cpu" else multiple(U, _LABELS)
    h, num_slices = documents.to(dtype), -(-U // size)
    filled = np.zeros(num_slices * size, np.int64)
    filled[:U] = targets.labels
    labels = torch.from_numpy(filled).to(device)
    positives = torch.from_numpy(targets.rows * size + targets.columns % size).to(device)
    minus_one = torch.full((1,), -1, dtype=dtype, device=device).expand(len(positives))
    ends = np.searchsorted(targets.columns, np.arange(num_slices + 1) * size)

    def of_slice(number: int) -> torch.Tensor:
        """Move a slice of the labels; return what it adds to the gradient by documents, (B, D).

        What waits for Python's lock has been done before: the other threads' slices hold it meanwhile.
        """
        own = slice(number * size, min((number + 1) * size, U))
        count, there = own.stop - own.start, slice(ends[number], ends[number + 1])
        some = labels[number * size : (number + 1) * size]
        weight = classifiers.weight.index_select(0, some).to(dtype)
        bias = classifiers.bias.index_select(0, some).to(dtype)
        bias[count:] = -math.inf
        grad = F.linear(h, weight, bias[:, 0]).sigmoid_()  # (B, size)
        grad.put_(positives[there], minus_one[there], accumulate=True)
        if targets.mask is not None:
            grad[:, :count] *= torch.from_numpy(targets.mask[:, own]).to(device)
        by_documents = grad @ weight
        by_weight, by_bias = (grad.T @ h)[:count], grad.sum(dim=0, dtype=torch.float32)[:count, None]
        move(some[:count], by_weight.float(), by_bias)
        return by_documents

    total = torch.zeros(documents.shape, device=device)
    for part in map_on_threads(of_slice, range(num_slices), pool):
        total += part
    return total


def slice_size(num_labels: int, threads: int) -> int:
    """Return how many labels a slice has: the same for each thread in each of its turns, of threads worth waking.

    It is an odd multiple of `_LABELS`: rows a power of two apart would fall on each other's place in the cache.
    """
    busy = max(min(threads, (num_labels - 1) // (_SLICE // 2)), 1)
    slices = busy * max(-(-num_labels // (busy * _SLICE)), 1)
    return multiple(-(-num_labels // slices) + _LABELS, 2 * _LABELS) - _LABELS


def multiple(number: int, of: int) -> int:
    """Return the next multiple of `of`; the first one for 0."""
    return max(-(-number // of), 1) * of
