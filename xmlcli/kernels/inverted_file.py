"""The kernels of the inverted file: adding up postings and finding the largest sums.

Numbers of labels (of documents, where documents are searched) lie in groups of 2^shift. A document whose words touch
few of them costs time for their groups alone, any other for all.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from xmlcli.arrays import Array, Bools, Floats, Ints, Longs
from xmlcli.kernels.compiled import fast_kernel, kernel
from xmlcli.kernels.csr import CsrRows
from xmlcli.kernels.top_k import sort_best, threshold

MAXIMA = 5  # times as many as labels wanted, in `collect_of_all`
_MANY = 8  # labels that are passed over in the time that one is added to


class InvertedFile(NamedTuple):
    """The words of M labels, by word.

    Attributes:
        offsets: int32 (F + 1,), where each word's postings begin.
        labels: unsigned (nnz,), the labels that have the word.
        values: float32 (nnz,), its weight in each of them.
        lengths: int64 (F,), postings of each word, on all ranks.
        bonus: float32 (M,), what a label scores before any word is looked up.
    """

    offsets: Array
    labels: Array
    values: Floats
    lengths: Longs
    bonus: Floats


class SearchLimits(NamedTuple):
    """What of a document's words counts, and how its labels come.

    Attributes:
        light: the share of a document's square that its lightest words may hold together and not count.
        budget: postings that are added up for a document; the first word's always are.
        in_order: whether labels come best first, ties by the lower label; otherwise they come by label.
    """

    light: float
    budget: int
    in_order: bool


class Reranking(NamedTuple):
    """What is added to the scores of retrieved labels before the best are kept.

    Attributes:
        vectors: float32 (N, D), of the documents.
        Z: numbers (M, D), of the labels; scale: float32 (M,), their rows' scale, or None for 1.
        share: what a cosine counts.
        num_retrieved: labels that are retrieved for a document.
    """

    vectors: Floats
    Z: Array
    scale: Floats | None
    share: np.float32
    num_retrieved: int


@fast_kernel
def search_inverted_file(
    documents: CsrRows, file: InvertedFile, limits: SearchLimits, reranking: Reranking | None, first: int, last: int,
    indices: Ints, scores: Floats,
) -> None:  # fmt: skip
    """Write the labels of the largest scores of documents first, …, last - 1, and these scores.

    indices, scores: (N, k), k at most M. With a reranking, more labels are retrieved and the cosines of their vectors
    are added. Labels lie in groups: a document whose words touch few labels costs time for their groups alone, any
    other for all labels.
    """
    bonus, num_labels, k = file.bonus, len(file.bonus), indices.shape[1]
    wanted = k
    if reranking is not None:
        wanted = reranking.num_retrieved
    maxima = np.empty(min(MAXIMA * wanted, num_labels), np.float32)
    is_kept = np.zeros(8 * -(-num_labels // 8), np.bool_)
    shift = group_shift(num_labels, wanted)
    num_groups = ((num_labels - 1) >> shift) + 1
    total, touched = bonus.copy(), np.ones(num_groups, np.bool_)
    untouched_best = np.empty(num_groups, np.float32)
    refresh(total, touched, shift, untouched_best)
    best = untouched_best.copy()
    touched[:] = False
    kept, values = np.empty(num_labels, np.int32), np.empty(num_labels, np.float32)
    for i in range(first, last):
        own = slice(documents.indptr[i], documents.indptr[i + 1])
        columns, weights = heaviest(documents.indices[own], documents.data[own], limits.light)
        touches_all = touch(columns, file.offsets, file.labels, num_labels, shift, touched)
        add_postings(columns, weights, file.offsets, file.labels, file.values, file.lengths, limits.budget, total)
        if touches_all:
            count = collect_of_all(total, maxima, is_kept, wanted, kept, values)
        else:
            refresh(total, touched, shift, best)
            count = collect(total, best, shift, wanted, kept, values)
        if reranking is not None:
            count = cut(kept, values, count, wanted)
            _add_cosines(reranking.vectors[i], reranking.Z, reranking.scale, reranking.share, kept[:count], values)
        if limits.in_order:
            sort_best(kept, values, count)
        else:
            cut(kept, values, count, k)
        for j in range(k):
            indices[i, j] = kept[j]
            scores[i, j] = values[j]
        if touches_all:
            for label in range(num_labels):
                total[label] = bonus[label]
        else:
            restore(bonus, untouched_best, touched, shift, total, best)


@fast_kernel
def _add_cosines(document: Floats, Z: Array, scale: Any, share: np.float32, labels: Ints, values: Floats) -> None:
    """Add `share` of the cosine of a document's vector with those of labels to their scores."""
    for j in range(len(labels)):
        vector, cosine = Z[labels[j]], np.float32(0)
        for d in range(len(vector)):
            cosine += document[d] * np.float32(vector[d])
        if scale is not None:
            cosine *= scale[labels[j]]
        values[j] += share * cosine


@kernel
def group_shift(num_labels: int, wanted: int) -> int:
    """Return s for groups of 2^s labels: more than three times as many groups as labels are wanted, where there are."""
    shift = 0
    while shift < 6 and (num_labels >> (shift + 1)) > 3 * wanted:
        shift += 1
    return shift


@fast_kernel
def heaviest(columns: Array, weights: Floats, light: float) -> tuple[Ints, Floats]:
    """Return a document's words and weights, heaviest first, without the lightest that hold `light` of its square."""
    order, heavy, count, left = np.arange(len(weights), dtype=np.int32), weights.copy(), len(weights), 0.0
    sort_best(order, heavy, count)
    for weight in weights:
        left += light * weight * weight
    while count > 1 and heavy[count - 1] ** 2 <= left:
        count -= 1
        left -= heavy[count] ** 2
    return columns[order[:count]], heavy[:count]


@kernel
def touch(columns: Array, w_offsets: Array, w_rows: Array, num_labels: int, shift: int, touched: Bools) -> bool:
    """Return whether a document's words have so many labels that looking at all costs less than at some groups.

    If not, mark the groups that they touch.
    """
    num_postings = 0
    for column in columns:
        num_postings += w_offsets[column + 1] - w_offsets[column]
    if _MANY * num_postings >= num_labels:
        return True
    for column in columns:
        for q in range(w_offsets[column], w_offsets[column + 1]):
            touched[w_rows[q] >> shift] = True
    return False


@fast_kernel
def add_postings(
    columns: Array, weights: Floats, w_offsets: Array, w_rows: Array, w_values: Floats, lengths: Longs, budget: int,
    total: Floats,
) -> None:  # fmt: skip
    """Add the products of a document's words, heaviest first, to `total`.

    One whose labels (`lengths`, on all ranks) are more than what is left of `budget` is left out, the first excepted.
    """
    left = budget
    for j in range(len(columns)):
        at, end = w_offsets[columns[j]], w_offsets[columns[j] + 1]
        if lengths[columns[j]] > left and left < budget:
            continue
        left -= lengths[columns[j]]
        weight, rows, values = weights[j], w_rows[at:end], w_values[at:end]
        fours = len(rows) - len(rows) % 4
        for q in range(0, fours, 4):  # the compiler cannot know that four rows differ, so it would go one by one
            first = total[rows[q]] + weight * values[q]
            second = total[rows[q + 1]] + weight * values[q + 1]
            third = total[rows[q + 2]] + weight * values[q + 2]
            fourth = total[rows[q + 3]] + weight * values[q + 3]
            total[rows[q]], total[rows[q + 1]], total[rows[q + 2]], total[rows[q + 3]] = first, second, third, fourth
        for q in range(fours, len(rows)):
            total[rows[q]] += weight * values[q]


@fast_kernel
def refresh(total: Floats, touched: Bools, shift: int, best: Floats) -> None:
    """Write the largest score of each touched group."""
    if shift == 0:
        best[:] = total
        return
    for group in range(len(touched)):
        if touched[group]:
            own = total[group << shift : (group + 1) << shift]
            largest = own[0]
            for value in own:
                largest = max(largest, value)
            best[group] = largest


@kernel
def restore(bonus: Floats, untouched_best: Floats, touched: Bools, shift: int, total: Floats, best: Floats) -> None:
    """Make everything as it was before the document."""
    for group in range(len(touched)):
        if touched[group]:
            own, before = total[group << shift : (group + 1) << shift], bonus[group << shift : (group + 1) << shift]
            for j in range(len(own)):  # without an offset, or the compiler does not vectorise
                own[j] = before[j]
            best[group] = untouched_best[group]
            touched[group] = False


@fast_kernel
def collect(total: Floats, best: Floats, shift: int, wanted: int, kept: Ints, values: Floats) -> int:
    """Put at least `wanted` labels, all of the largest scores among them, into `kept`, `values`; return how many.

    As many groups as labels are wanted have a score of `least` or more, so no smaller one is needed. Labels come in
    ascending order.
    """
    if wanted >= len(best):
        for label in range(len(total)):
            kept[label], values[label] = label, total[label]
        return len(total)
    least = threshold(best, wanted)
    count = 0
    for group in range(len(best)):
        if best[group] >= least:
            own = total[group << shift : (group + 1) << shift]
            for j in range(len(own)):  # written whether wanted or not: most are not, and a branch would cost more
                kept[count], values[count] = (group << shift) + j, own[j]
                count += own[j] >= least
    return count


@fast_kernel
def collect_of_all(total: Floats, maxima: Floats, is_kept: Bools, wanted: int, kept: Ints, values: Floats) -> int:
    """Do what `collect` does, without groups: the maxima here are of labels so far apart that they compare at once.

    maxima: room for more than `wanted`, unless there are fewer labels; is_kept: room for all labels and up to the next
    eighth one, False beyond them.
    """
    num_labels, num_maxima = len(total), len(maxima)
    if wanted >= num_maxima:
        for label in range(num_labels):
            kept[label], values[label] = label, total[label]
        return num_labels
    maxima[:] = total[:num_maxima]
    for at in range(num_maxima, num_labels, num_maxima):
        own = total[at : at + num_maxima]
        for j in range(len(own)):
            maxima[j] = max(maxima[j], own[j])
    least = threshold(maxima, wanted)
    for label in range(num_labels):
        is_kept[label] = total[label] >= least
    count, eights = 0, is_kept.view(np.uint64)
    for eighth in range(len(eights)):
        if eights[eighth]:
            for label in range(8 * eighth, 8 * eighth + 8):
                if is_kept[label]:
                    kept[count], values[count] = label, total[label]
                    count += 1
    return count


@fast_kernel
def cut(kept: Ints, values: Floats, count: int, wanted: int) -> int:
    """Keep the `wanted` labels of the largest values, ties by the lower label, in their order; return how many."""
    if count <= wanted:
        return count
    least = threshold(values[:count], wanted)
    larger = 0
    for j in range(count):
        larger += values[j] > least
    end, equal = 0, wanted - larger
    for j in range(count):
        if values[j] > least or (values[j] == least and equal > 0):
            equal -= values[j] == least
            kept[end], values[end] = kept[j], values[j]
            end += 1
    return end
