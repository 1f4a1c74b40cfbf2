"""The published collections: counts, propensity constants, and where their publishers keep them.

Counts and addresses are those of the Extreme Classification Repository's page and, for the collections called
`...-text`, of PECOS's archive, whose raw-text files have splits of their own; None stands for a count that we found
with neither. The propensity constants are the standard ones of the field's evaluation scripts, which make figures
comparable with the repository's tables. The md5 sums are those that public download scripts check for.
"""

from __future__ import annotations

from dataclasses import dataclass

REPOSITORY_PAGE = "http://manikvarma.org/downloads/XC/XMLRepository.html"
PECOS_PAGE = "https://github.com/amzn/pecos"
DEFAULT_PROPENSITY = (0.55, 1.5)
_AMAZON = (0.6, 2.6)
_WIKIPEDIA = (0.5, 0.4)
BAG_OF_WORDS, SPLIT, SPLITS, TEXT = "xmc-text", "split-text", "xmc-splits", "pecos"

Counts = tuple[int | None, int | None, int | None, int | None]


@dataclass(frozen=True)
class KnownDataset:
    """A published collection.

    Attributes:
        name: as it is published; short_names: what else it goes by.
        counts: features, labels, training and test documents; None where not known (texts have no features).
        propensity: A and B.
        layout: of the published files.
        drive: id of the publisher's file on Google Drive, with its resource key behind a `/` where it has one.
        url: an address elsewhere.
        md5: of that file, where known.
        page: where the publisher describes it.
    """

    name: str
    short_names: tuple[str, ...]
    counts: Counts
    propensity: tuple[float, float] = DEFAULT_PROPENSITY
    layout: str = BAG_OF_WORDS
    drive: str | None = None
    url: str | None = None
    md5: str | None = None
    page: str = REPOSITORY_PAGE

    @property
    def names(self) -> tuple[str, ...]:
        """Every name it goes by, the published one first."""
        return (self.name, *self.short_names)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where its archive can be downloaded, to be tried in this order."""
        elsewhere = () if self.url is None else (self.url,)
        if self.drive is None:
            return elsewhere
        file, _, key = self.drive.partition("/")
        query = f"id={file}&export=download&confirm=t" + (f"&resourcekey={key}" if key else "")
        hosts = ("https://drive.usercontent.google.com/download", "https://drive.google.com/uc")
        return (*elsewhere, *(f"{host}?{query}" for host in hosts))

    def counted(self) -> dict[str, int]:
        """The counts that are known, by what they count."""
        names = ("features", "labels", "training documents", "test documents")
        return {name: count for name, count in zip(names, self.counts, strict=True) if count is not None}

    def size(self) -> str:
        """The counts in words."""
        return ", ".join(f"{count:,} {name}" for name, count in reversed(self.counted().items()))


def _text(name: str, short: str, counts: Counts, archive: str, propensity: tuple[float, float]) -> KnownDataset:
    """Return the entry of a raw-text collection in PECOS's archive."""
    url = f"https://archive.org/download/pecos-dataset/xmc-base/{archive}.tar.gz"
    return KnownDataset(name, (short,), counts, propensity, TEXT, url=url, page=PECOS_PAGE)


# fmt: off
KNOWN_DATASETS = (
    KnownDataset("Mediamill", (), (120, 101, 30_993, 12_914), layout=SPLITS,
                 drive="0B3lPMIHmG6vGY3B4TXRmZnZBTkk", md5="11cfdb9269ae5a301bb0c6f333cc6999"),
    KnownDataset("Bibtex", (), (1_836, 159, 4_880, 2_515), layout=SPLITS,
                 drive="0B3lPMIHmG6vGcy1xM2pJZ09MMGM", md5="78db23bd26486d4188502abf6a39b856"),
    KnownDataset("Delicious", (), (500, 983, 12_920, 3_185), layout=SPLITS,
                 drive="0B3lPMIHmG6vGdG1jZ19VS2NWRVU", md5="e73730438e67ad179d724503e6770b1a"),
    KnownDataset("RCV1-2K", ("rcv1",), (47_236, 2_456, 623_847, 155_962), drive="0B3lPMIHmG6vGdnEzRWZWQWJMRnc"),
    KnownDataset("EURLex-4K", ("eurlex",), (5_000, 3_993, 15_539, 3_809),
                 drive="0B3lPMIHmG6vGU0VTR1pCejFpWjg/0-SurjZ4z_5Tr38jENzf2Iwg", md5="ec8feb2a9a0bd0f32d8f4c2b00725524"),
    KnownDataset("EURLex-4.3K", (), (200_000, 4_271, 45_000, 6_000), drive="1b3mWgaKIAmc9Ae3E0QrokiIFA9Qj1K9r"),
    KnownDataset("Wiki10-31K", ("wiki10",), (101_938, 30_938, 14_146, 6_616), drive="0B3lPMIHmG6vGaDdOeGliWF9EOTA"),
    KnownDataset("AmazonCat-13K", ("amazoncat",), (203_882, 13_330, 1_186_239, 306_782),
                 drive="0B3lPMIHmG6vGa2tMbVJGdDNSMGc"),
    KnownDataset("AmazonCat-14K", (), (597_540, 14_588, 4_398_050, 1_099_725), drive="0B3lPMIHmG6vGaDFqU2E5U0dxS00"),
    KnownDataset("Delicious-200K", ("deliciouslarge",), (782_585, 205_443, 196_606, 100_095),
                 drive="0B3lPMIHmG6vGR3lBWWYyVlhDLWM"),
    KnownDataset("WikiLSHTC-325K", ("wikilshtc",), (1_617_899, 325_056, 1_778_351, 587_084), _WIKIPEDIA,
                 drive="0B3lPMIHmG6vGSHE1SWx4TVRva3c"),
    KnownDataset("WikiSeeAlsoTitles-350K", ("wikiseealsotitles",), (91_414, 352_072, 629_418, 162_491), layout=SPLIT,
                 drive="1bHtiLVF5EFsVL3qyU7y5e3M-fYHvXsG9"),
    KnownDataset("WikiTitles-500K", ("wikititles",), (185_479, 501_070, 1_699_722, 722_678), _WIKIPEDIA, SPLIT,
                 "11U4qDWKvsR6pCzLvY3APckx-R_ihyMih"),
    KnownDataset("Wikipedia-500K", ("wikipedialarge",), (2_381_304, 501_070, 1_813_391, 783_743), _WIKIPEDIA,
                 drive="0B3lPMIHmG6vGRmEzVDVkNjBMR3c"),
    KnownDataset("AmazonTitles-670K", (), (66_666, 670_091, 485_176, 150_875), _AMAZON, SPLIT,
                 "1OKnaLu4SDMOQ69rHdwF8ExKkeF2SZw7z"),
    KnownDataset("Amazon-670K", ("amazon",), (135_909, 670_091, 490_449, 153_025), _AMAZON,
                 drive="0B3lPMIHmG6vGdUJwRzltS1dvUVk"),
    KnownDataset("AmazonTitles-3M", (), (165_431, 2_812_281, 1_712_536, 739_665), _AMAZON, SPLIT,
                 "1PGzippnzIcgVNYZ8qQKVb0GNiARjQxvV"),
    KnownDataset("Amazon-3M", (), (337_067, 2_812_281, 1_717_899, 742_507), _AMAZON,
                 drive="0B3lPMIHmG6vGUEd4eTRxaWl3YkE"),
    KnownDataset("LF-AmazonTitles-131K", (), (40_000, 131_073, 294_805, 134_835), _AMAZON,
                 drive="1VlfcdJKJA99223fLEawRmrXhXpwjwJKn"),
    KnownDataset("LF-Amazon-131K", (), (80_000, 131_073, 294_805, 134_835), _AMAZON,
                 drive="1YNGEifTHu4qWBmCaLEBfjx07qRqw9DVW"),
    KnownDataset("LF-WikiSeeAlsoTitles-320K", (), (None, None, None, None), drive="1edWtizAFBbUzxo9Z2wipGSEA9bfy5mdX"),
    KnownDataset("LF-WikiSeeAlso-320K", (), (None, 312_330, 693_082, 177_515),
                 drive="1N8C_RL71ErX6X92ew9h8qRuTWJ9LywE8"),
    KnownDataset("LF-WikiTitles-500K", (), (None, None, None, None), _WIKIPEDIA,
                 drive="1qa1HTTD509J5r4yNAH-Aq6wArljgg4mx"),
    KnownDataset("LF-Wikipedia-500K", (), (None, 501_070, 1_813_391, 783_743), _WIKIPEDIA),
    KnownDataset("LF-AmazonTitles-1.3M", (), (None, 1_305_265, 2_248_619, 970_237), _AMAZON,
                 drive="1Davc6BIfoTIAS3mP1mUY5EGcGr2zN2pO"),
    _text("EURLex-4K-text", "eurlextext", (None, 3_956, 15_449, 3_865), "eurlex-4k", DEFAULT_PROPENSITY),
    _text("Wiki10-31K-text", "wiki10text", (None, 30_938, 14_146, None), "wiki10-31k", DEFAULT_PROPENSITY),
    _text("AmazonCat-13K-text", "amazoncattext", (None, 13_330, 1_186_239, None), "amazoncat-13k", DEFAULT_PROPENSITY),
    _text("Amazon-670K-text", "amazontext", (None, 670_091, 490_449, None), "amazon-670k", _AMAZON),
    _text("Wiki-500K-text", "wiki500k", (None, 501_070, 1_779_881, None), "wiki-500k", _WIKIPEDIA),
    _text("Amazon-3M-text", "amazon3mtext", (None, 2_812_281, 1_717_899, None), "amazon-3m", _AMAZON),
)
# fmt: on


def find_known(name: str) -> KnownDataset | None:
    """Return the collection of that name, ignoring case and punctuation, or None."""
    wanted = simplified(name)
    for known in KNOWN_DATASETS:
        if wanted in map(simplified, known.names):
            return known
    return None


def simplified(name: str) -> str:
    """Return a name without case and punctuation: `EURLex-4K` and `eurlex_4k` are one."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def known_names() -> list[str]:
    """Return every name of every published collection."""
    return [name for known in KNOWN_DATASETS for name in known.names]
