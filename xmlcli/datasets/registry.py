"""What is known of the collections of the Extreme Classification Repository.

Counts are those the repository publishes for the bag-of-words files. The propensity constants are the standard ones
of the field's evaluation scripts, which make figures comparable with the repository's tables.
"""

from __future__ import annotations

from dataclasses import dataclass

REPOSITORY_PAGE = "http://manikvarma.org/downloads/XC/XMLRepository.html"
DEFAULT_PROPENSITY = (0.55, 1.5)
_AMAZON = (0.6, 2.6)
_WIKIPEDIA = (0.5, 0.4)


@dataclass(frozen=True)
class KnownDataset:
    """A published collection: its name, other names, counts and propensity constants A and B."""

    name: str
    short_names: tuple[str, ...]
    num_features: int
    num_labels: int
    num_train: int
    num_test: int
    propensity: tuple[float, float] = DEFAULT_PROPENSITY
    page: str = REPOSITORY_PAGE

    @property
    def names(self) -> tuple[str, ...]:
        """Every name it goes by, the published one first."""
        return (self.name, *self.short_names)


KNOWN_DATASETS = (
    KnownDataset("Bibtex", (), 1_836, 159, 4_880, 2_515),
    KnownDataset("Delicious", (), 500, 983, 12_920, 3_185),
    KnownDataset("EURLex-4K", ("eurlex",), 5_000, 3_993, 15_539, 3_809),
    KnownDataset("Wiki10-31K", ("wiki10",), 101_938, 30_938, 14_146, 6_616),
    KnownDataset("AmazonCat-13K", ("amazoncat",), 203_882, 13_330, 1_186_239, 306_782),
    KnownDataset("Delicious-200K", ("delicious200k", "deliciouslarge"), 782_585, 205_443, 196_606, 100_095),
    KnownDataset("WikiLSHTC-325K", ("wikilshtc",), 1_617_899, 325_056, 1_778_351, 587_084, _WIKIPEDIA),
    KnownDataset("WikiSeeAlsoTitles-350K", ("wikiseealsotitles",), 91_414, 352_072, 629_418, 162_491),
    KnownDataset("WikiTitles-500K", ("wikititles",), 185_479, 501_070, 1_699_722, 722_678, _WIKIPEDIA),
    KnownDataset("Amazon-670K", ("amazon670k", "amazon"), 135_909, 670_091, 490_449, 153_025, _AMAZON),
    KnownDataset("AmazonTitles-670K", ("amazontitles670k",), 66_666, 670_091, 485_176, 150_875, _AMAZON),
    KnownDataset("AmazonTitles-3M", ("amazontitles3m",), 165_431, 2_812_281, 1_712_536, 739_665, _AMAZON),
    KnownDataset("Amazon-3M", ("amazon3m",), 337_067, 2_812_281, 1_717_899, 742_507, _AMAZON),
    KnownDataset("LF-AmazonTitles-131K", ("lfamazontitles131k",), 40_000, 131_073, 294_805, 134_835, _AMAZON),
    KnownDataset("LF-Amazon-131K", ("lfamazon131k",), 80_000, 131_073, 294_805, 134_835, _AMAZON),
)


def find_known(name: str) -> KnownDataset | None:
    """The collection of that name, whatever its case and punctuation; None where there is none."""
    wanted = simplified(name)
    for known in KNOWN_DATASETS:
        if wanted in map(simplified, known.names):
            return known
    return None


def simplified(name: str) -> str:
    """A name without case and punctuation: `EURLex-4K` and `eurlex_4k` are one."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def known_names() -> list[str]:
    """Every name a published collection goes by."""
    return [name for known in KNOWN_DATASETS for name in known.names]
