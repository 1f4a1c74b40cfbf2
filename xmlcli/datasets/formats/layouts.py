"""The file layouts of datasets, and which of them a folder has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from xmlcli.datasets.formats.streams import COMPRESSIONS, open_stream, plain_suffix
from xmlcli.errors import DatasetError

DEMO = "demo"
LF_RAW, XMC_TEXT, SPLIT_TEXT, PECOS = "lf-raw", "xmc-text", "split-text", "pecos"
ATTENTION_XML, ANNIF, LIBSVM, TABLE = "attention-xml", "annif", "libsvm", "table"
XMC_SPLITS = "xmc-splits"

TABLE_SUFFIXES = (".csv", ".jsonl", ".ndjson", ".parquet", ".tsv", ".xlsx")
_FILTER = {"test_filter": ("filter_labels_test.txt",)}

Names = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Layout:
    """File names of a layout by role, most common spelling first; `*` stands for the dataset's own name.

    Attributes:
        required, optional: the roles.
        together: optional roles that are only there in company.
        fits: looks into files whose names alone do not tell.
    """

    required: Names
    optional: Names
    together: tuple[tuple[str, str], ...] = ()
    fits: Callable[[Mapping[str, Path]], bool] = field(default=lambda files: True)


def _with_compressed(*names: str) -> tuple[str, ...]:
    return tuple(name + suffix for name in names for suffix in ("", *COMPRESSIONS))


def _tables(split: str) -> tuple[str, ...]:
    return _with_compressed(*(f"{split}{suffix}" for suffix in TABLE_SUFFIXES))


def _annif(split: str) -> tuple[str, ...]:
    return (f"{split}.tsv", f"{split}.tsv.gz", f"*-{split}.tsv", f"*-{split}.tsv.gz")


def _svm(split: str) -> tuple[str, ...]:
    return (*_with_compressed(f"{split}.svm", f"{split}.libsvm", f"*_{split}.svm", f"*_{split}.libsvm"), f"{split}.txt")


def is_libsvm(path: Path) -> bool:
    """Whether the first line that is not blank holds a pair `feature:value`, as no header does."""
    with open_stream(path) as (content, _):
        return b":" in next((line for line in content if line.strip()), b"")


LAYOUTS: Mapping[str, Layout] = {
    LF_RAW: Layout(
        {
            "train": ("trn.json.gz", "trn.json", "trn.raw.json.gz"),
            "labels": ("lbl.json.gz", "lbl.json", "lbl.raw.json.gz", "Yf.txt"),
        },
        {"test": ("tst.json.gz", "tst.json", "tst.raw.json.gz"), **_FILTER},
    ),
    PECOS: Layout(
        {"train": ("X.trn.npz", "X.trn.txt", "X_trn.npz"), "train_labels": ("Y.trn.npz", "Y_trn.npz")},
        {
            "test": ("X.tst.npz", "X.tst.txt", "X_tst.npz"),
            "test_labels": ("Y.tst.npz", "Y_tst.npz"),
            "labels": ("output-items.txt",),
            **_FILTER,
        },
        (("test", "test_labels"),),
    ),
    SPLIT_TEXT: Layout(
        {"train": ("trn_X_Xf.txt", "trn_X.txt"), "train_labels": ("trn_X_Y.txt",)},
        {
            "test": ("tst_X_Xf.txt", "tst_X.txt"),
            "test_labels": ("tst_X_Y.txt",),
            "labels": ("Y.txt", "Yf.txt"),
            "features": ("Xf.txt",),
            **_FILTER,
        },
        (("test", "test_labels"),),
    ),
    ATTENTION_XML: Layout(
        {"train": ("train_texts.txt", "train_raw_texts.txt"), "train_labels": ("train_labels.txt",)},
        {"test": ("test_texts.txt", "test_raw_texts.txt"), "test_labels": ("test_labels.txt",)},
        (("test", "test_labels"),),
    ),
    ANNIF: Layout(
        {"train": _annif("train"), "labels": ("vocab.tsv", "vocabulary.tsv", "*vocab*.tsv", "subjects.tsv")},
        {"test": _annif("test")},
    ),
    XMC_TEXT: Layout(
        {"train": ("train.txt", "*_train.txt")},
        {
            "test": ("test.txt", "*_test.txt"),
            "labels": ("labels.txt",),
            "features": ("features.txt",),
            **_FILTER,
        },
        fits=lambda files: not is_libsvm(files["train"]),
    ),
    XMC_SPLITS: Layout(
        {"data": ("*_data.txt",), "train": ("*_trSplit.txt",), "test": ("*_tstSplit.txt",)},
        {"labels": ("labels.txt",), "features": ("features.txt",)},
    ),
    LIBSVM: Layout({"train": _svm("train")}, {"test": _svm("test")}),
    TABLE: Layout({"train": _tables("train")}, {"test": _tables("test")}),
}


def recognise(path: Path) -> tuple[str, dict[str, Path]] | None:
    """Return the layout of a folder and its files by role, or None if no layout fits.

    Raises:
        DatasetError: several files could play one role, or one of two files that go together is missing.
    """
    for name, layout in LAYOUTS.items():
        required = {role: _pick(path, names) for role, names in layout.required.items()}
        files = {role: file for role, file in required.items() if file is not None}
        if len(files) < len(required) or not layout.fits(files):
            continue
        optional = {role: _pick(path, names) for role, names in layout.optional.items()}
        files |= {role: file for role, file in optional.items() if file is not None}
        for one, other in layout.together:
            if (one in files) != (other in files):
                here, missing = (one, other) if one in files else (other, one)
                expected = " or ".join(layout.optional[missing])
                raise DatasetError(f"{files[here]}: the file that goes with it is missing", expected=expected)
        return name, files
    lone = [file for file in sorted(path.iterdir()) if is_table(file)]
    return (TABLE, {"train": lone[0]}) if len(lone) == 1 else None


def is_table(path: Path) -> bool:
    """Whether a file is a table, by its name."""
    return plain_suffix(path) in TABLE_SUFFIXES and not path.name.startswith(".") and path.is_file()


def described() -> str:
    """Return in words which files each layout needs."""
    lines = []
    for name, layout in LAYOUTS.items():
        if name == TABLE:
            need = f"train{'|'.join(TABLE_SUFFIXES)}, or one such file"
        else:
            need = " + ".join(names[0] for names in layout.required.values())
        lines.append(f"{need} ({name})")
    return " or ".join(lines)


def _pick(path: Path, names: tuple[str, ...]) -> Path | None:
    """Return the file of one role: the first spelling that is present.

    Raises:
        DatasetError: a spelling with `*` fits several files.
    """
    for name in names:
        fitting = sorted(file for file in path.glob(name) if file.is_file())
        if len(fitting) > 1:
            found = ", ".join(file.name for file in fitting)
            raise DatasetError(f"several files in {path} could be {names[0]}", expected="one", found=found)
        if fitting:
            return fitting[0]
    return None
