"""The generating model of the synthetic dataset `demo`: its parameters, its world, and drawing documents from it.

The model, for a document:

1. its number of labels m is drawn from `set_sizes`, its theme t by the themes' share of the label prior;
2. m labels are drawn, each from theme t with probability `same_theme`, otherwise from all, by the label prior (a
   power law); where two are the same, all m are drawn again;
3. its length is uniform in `min_words..max_words`, and every word is drawn by itself: with probability
   `background_share` from the background, otherwise from one of the m labels, all alike;
4. a label gives one of its own words with probability `own_share`, otherwise a word of its theme. Own words come from
   a pool that the labels of a theme share, so most of them belong to several labels;
5. the background is Zipf's law over general words, mixed with words drawn from the whole vocabulary alike (noise);
6. each label goes missing from the record with probability `missing`; where all would, one, drawn alike, stays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

_CONSONANTS = ["b", "d", "f", "g", "h", "j", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "z", "ch", "sh", "st"]
_VOWELS = ["a", "e", "i", "o", "u"]
_RANK_OFFSET = 3.0  # flattens the head of the label prior


@dataclass(frozen=True)
class DemoParameters:
    """Size and difficulty of the dataset; the defaults are the embedded `demo`."""

    num_train: int = 12_000
    num_test: int = 3_000
    num_labels: int = 3_000
    num_themes: int = 60
    num_general_words: int = 4_000
    words_per_theme: int = 30
    words_per_label: int = 5
    labels_per_word: float = 3.0
    min_words: int = 20
    max_words: int = 40
    set_sizes: tuple[tuple[int, float], ...] = ((2, 0.35), (3, 0.4), (4, 0.25))
    same_theme: float = 0.7
    background_share: float = 0.42
    noise_share: float = 0.15
    own_share: float = 0.57
    missing: float = 0.13
    prior_exponent: float = 0.9
    seed: int = 20_230_411


@dataclass(frozen=True)
class World:
    """What the generator, and the oracle, know. V words, L labels, T themes, K own words a label, W words a theme.

    Attributes:
        vocabulary: V words.
        prior: float64 (L,), sums to 1.
        theme_of: int64 (L,); by_theme: int64 (L,), labels ordered by theme; theme_start: int64 (T + 1,) into it.
        own_words: int64 (L, K); own_shares: float64 (K,), probability of each, given an own word.
        theme_words: int64 (T, W); theme_shares: float64 (W,).
        word_theme: int64 (V,), theme a word belongs to or -1; word_share: float64 (V,), its probability there.
        background: float64 (V,), sums to 1.
    """

    vocabulary: list[str]
    prior: FloatArray
    theme_of: IntArray
    by_theme: IntArray
    theme_start: IntArray
    own_words: IntArray
    own_shares: FloatArray
    theme_words: IntArray
    theme_shares: FloatArray
    word_theme: IntArray
    word_share: FloatArray
    background: FloatArray

    @property
    def theme_prior(self) -> FloatArray:
        """float64 (T,)."""
        mass = np.bincount(self.theme_of, weights=self.prior, minlength=len(self.theme_words))
        return mass.astype(np.float64)


@dataclass(frozen=True)
class Documents:
    """Drawn documents one after another: int64 word ids and recorded label ids; int64 (n + 1,) where each begins."""

    words: IntArray
    word_start: IntArray
    labels: IntArray
    label_start: IntArray


def make_world(parameters: DemoParameters, rng: np.random.Generator) -> World:
    """Draw themes, words and the label prior."""
    p = parameters
    prior = power_law(p.num_labels, p.prior_exponent, _RANK_OFFSET)[rng.permutation(p.num_labels)]
    theme_of = rng.permutation(np.arange(p.num_labels) % p.num_themes)
    by_theme = np.argsort(theme_of, kind="stable")
    labels_in = np.bincount(theme_of, minlength=p.num_themes)
    theme_start = np.concatenate([[0], np.cumsum(labels_in)])
    num_theme_words = p.num_themes * p.words_per_theme
    pool_size = np.maximum(np.ceil(labels_in * p.words_per_label / p.labels_per_word), 2 * p.words_per_label)
    pool_start = np.cumsum(np.concatenate([[0], pool_size])).astype(np.int64)
    num_words = p.num_general_words + num_theme_words + int(pool_start[-1])
    # Words by number: general, then those of the themes, then the pools of own words.
    theme_words = p.num_general_words + np.arange(num_theme_words).reshape(p.num_themes, p.words_per_theme)
    theme_shares = power_law(p.words_per_theme, 0.8)
    place = rng.random((p.num_labels, p.words_per_label)) * pool_size[theme_of][:, None]
    own_words = p.num_general_words + num_theme_words + pool_start[theme_of][:, None] + place.astype(np.int64)
    word_theme = np.full(num_words, -1, dtype=np.int64)
    word_theme[theme_words] = np.arange(p.num_themes)[:, None]
    word_share = np.zeros(num_words)
    word_share[theme_words] = theme_shares
    background = np.full(num_words, p.noise_share / num_words)
    background[: p.num_general_words] += (1 - p.noise_share) * power_law(p.num_general_words, 1.0, 2.0)
    return World(
        vocabulary=make_words(num_words, rng),
        prior=prior,
        theme_of=theme_of,
        by_theme=by_theme,
        theme_start=theme_start,
        own_words=own_words,
        own_shares=power_law(p.words_per_label, 0.5),
        theme_words=theme_words,
        theme_shares=theme_shares,
        word_theme=word_theme,
        word_share=word_share,
        background=background,
    )


def draw_documents(world: World, parameters: DemoParameters, num: int, rng: np.random.Generator) -> Documents:
    """Draw `num` documents, without any array of documents times labels or words."""
    p = parameters
    sizes, slots = _draw_label_sets(world, p, num, rng)
    lengths = rng.integers(p.min_words, p.max_words + 1, num)
    word_start = np.concatenate([[0], np.cumsum(lengths)])
    document = np.repeat(np.arange(num), lengths)
    total = len(document)
    label = slots[document, (rng.random(total) * sizes[document]).astype(np.int64)]
    own = world.own_words[label, draw(world.own_shares, rng.random(total))]
    theme = world.theme_words[world.theme_of[label], draw(world.theme_shares, rng.random(total))]
    words = np.where(rng.random(total) < p.own_share, own, theme)
    words = np.where(rng.random(total) < p.background_share, draw(world.background, rng.random(total)), words)
    used = np.arange(slots.shape[1]) < sizes[:, None]
    kept = used & (rng.random(slots.shape) >= p.missing)
    stays = (rng.random(num) * sizes).astype(np.int64)
    emptied = np.flatnonzero(~kept.any(axis=1))
    kept[emptied, stays[emptied]] = True
    label_start = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
    return Documents(words, word_start, slots[kept], label_start)


def label_names(world: World) -> list[str]:
    """Return a name for each label: its two most likely own words and, if that name is taken, a number."""
    return make_names(world.own_words[:, :2], world.vocabulary)


def make_names(words: IntArray, vocabulary: list[str]) -> list[str]:
    """Return a name for each pair of words, int64 (L, 2): both words and, if that name is taken, a number."""
    seen: dict[str, int] = {}
    names = []
    for first, second in words.tolist():
        name = f"{vocabulary[first]} {vocabulary[second]}"
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name} {seen[name]}")
    return names


def _draw_label_sets(
    world: World, parameters: DemoParameters, num: int, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Draw the labels of documents: sizes int64 (num,), labels int64 (num, most), of which the first `size` count."""
    p = parameters
    choices, shares = zip(*p.set_sizes, strict=True)
    sizes = np.array(choices)[draw(np.array(shares), rng.random(num))]
    themes = draw(world.theme_prior, rng.random(num))
    reach = np.concatenate([[0.0], np.cumsum(world.prior[world.by_theme])])
    slots = np.zeros((num, max(choices)), dtype=np.int64)
    open_rows = np.arange(num)
    while len(open_rows):
        shape = (len(open_rows), slots.shape[1])
        low, high = (reach[world.theme_start[themes[open_rows] + end]][:, None] for end in (0, 1))
        inside = rng.random(shape) < p.same_theme
        place = np.where(inside, low + rng.random(shape) * (high - low), rng.random(shape) * reach[-1])
        drawn = np.searchsorted(reach, place, side="right") - 1
        slots[open_rows] = world.by_theme[np.minimum(drawn, p.num_labels - 1)]
        open_rows = open_rows[_has_twins(slots[open_rows], sizes[open_rows])]
    return sizes, slots


def _has_twins(slots: IntArray, sizes: IntArray) -> npt.NDArray[np.bool_]:
    """Return whether a label occurs twice among the first `size` of each row, bool (n,)."""
    places = np.arange(slots.shape[1])
    ordered = np.sort(np.where(places < sizes[:, None], slots, -1 - places), axis=1)
    twins: npt.NDArray[np.bool_] = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
    return twins


def power_law(num: int, exponent: float, offset: float = 0.0) -> FloatArray:
    """Return the shares (i + offset)^-exponent of ranks i = 1, 2, …, float64 (num,), which sum to 1."""
    weights = (np.arange(1, num + 1, dtype=np.float64) + offset) ** -exponent
    shares: FloatArray = weights / weights.sum()
    return shares


def draw(shares: FloatArray, uniform: FloatArray) -> IntArray:
    """Draw indices with probabilities `shares`, from uniform numbers in [0, 1)."""
    reach = np.cumsum(shares)
    places: IntArray = np.searchsorted(reach, uniform * reach[-1], side="right").clip(max=len(shares) - 1)
    return places


def make_words(num: int, rng: np.random.Generator) -> list[str]:
    """Make up words that differ, of alternating consonants and vowels, all with the same number of syllables."""
    syllables = [consonant + vowel for consonant in _CONSONANTS for vowel in _VOWELS]
    base = len(syllables)
    length = 2
    while base**length < 4 * num:
        length += 1
    # Steps through all numbers of that many syllables by a stride without common factor, so that none comes twice.
    stride = int(rng.integers(base**length // 4, base**length))
    while math.gcd(stride, base**length) > 1:
        stride += 1
    numbers = (np.arange(num, dtype=np.int64) + 1) * stride % base**length
    parts = [(numbers // base**place % base).tolist() for place in range(length)]
    return ["".join(syllables[part] for part in word) for word in zip(*parts, strict=True)]
