"""Read Annif's short-text corpora: `train.tsv`, `test.tsv` and a vocabulary.

Each document is a line: its text, a tab, and the URIs of its subjects, separated by spaces, with or without `<>`. Each
subject is a line of the vocabulary: its URI, a tab, its label; further columns are ignored. A label's id is the number
of its line, from 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from xmlcli.datasets.formats.problems import FileProblems
from xmlcli.datasets.formats.raw import RawSplit, label_matrix
from xmlcli.datasets.formats.streams import decoded, numbered_lines
from xmlcli.progress import Progress, silent


def read_vocabulary(path: Path) -> tuple[dict[str, int], list[str]]:
    """Return the ids of labels by their URIs, and the labels' names.

    Raises:
        DatasetError: a line is no pair, or a URI is there twice.
    """
    problems = FileProblems(path)
    ids: dict[str, int] = {}
    names: list[str] = []
    for number, line in numbered_lines(path, None, silent):
        text = decoded(line, number, problems)
        if not text:
            continue
        fields = text.split("\t")
        uri = _bare(fields[0])
        if len(fields) < 2 or not uri:
            problems.add(number, "a URI, a tab and a label", repr(text[:60]))
        elif uri in ids:
            problems.add(number, "each URI once", f"{uri} again")
        else:
            ids[uri] = len(names)
            names.append(fields[1].strip())
    problems.raise_if_any()
    return ids, names


def read_split(
    path: Path, ids: Mapping[str, int], *, max_documents: int | None = None, progress: Progress = silent
) -> RawSplit:
    """Read one corpus file.

    Args:
        path: the file.
        ids: the vocabulary's URIs.
        max_documents: take only so many of the first documents.
        progress: told bytes read and in all.

    Raises:
        DatasetError: a line is no pair of text and URIs, or a URI is not in the vocabulary.
    """
    problems = FileProblems(path)
    texts: list[str] = []
    counts: list[int] = []
    labels: list[int] = []
    for number, line in numbered_lines(path, max_documents, progress):
        text = decoded(line, number, problems)
        if text is None:
            continue
        document, tab, subjects = text.rpartition("\t")
        if not tab:
            problems.add(number, "a text, a tab and URIs", repr(text[:60]))
            continue
        uris = [_bare(field) for field in subjects.split()]
        unknown = [uri for uri in uris if uri not in ids]
        for uri in unknown:
            problems.add(number, "URIs of the vocabulary", uri)
        if not unknown:
            texts.append(document)
            counts.append(len(uris))
            labels += [ids[uri] for uri in uris]
    problems.raise_if_any()
    Y = label_matrix(np.array(counts, dtype=np.int64), np.array(labels, dtype=np.int32), len(ids))
    return RawSplit(texts, None, Y)


def _bare(uri: str) -> str:
    return uri.strip().removeprefix("<").removesuffix(">")
