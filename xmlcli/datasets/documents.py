"""Read the documents to predict labels for, block by block: lines of text, tables, matrices, or whole datasets.

At most 1,024 documents are held, but for layouts whose readers read whole files. The order of documents is kept, an
empty line is an empty document.
"""

from __future__ import annotations

import sys
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import orjson
import scipy.sparse as sp

from xmlcli.datasets.columns import USUAL_COLUMNS, Wanted
from xmlcli.datasets.find import open_folder
from xmlcli.datasets.formats import libsvm, xmc_text
from xmlcli.datasets.formats.layouts import TABLE, TABLE_SUFFIXES, is_libsvm
from xmlcli.datasets.formats.matrices import read_matrix
from xmlcli.datasets.formats.named import NameTable
from xmlcli.datasets.formats.problems import FileProblems
from xmlcli.datasets.formats.raw import RawSplit
from xmlcli.datasets.formats.records import Record, records, text_of
from xmlcli.datasets.formats.streams import decoded, open_stream, plain_suffix
from xmlcli.datasets.load import read_dataset
from xmlcli.errors import DatasetError
from xmlcli.progress import Progress, silent

STANDARD_INPUT = "-"
BLOCK = 1024
_READ_BYTES = 1 << 20
_LONGEST = 1 << 28  # bytes of a line
_JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")


@dataclass(frozen=True)
class Unreadable:
    """Stands for a document that cannot be read.

    Attributes:
        error: which line it is, what was expected there and what was found.
    """

    error: str


Texts: TypeAlias = list[str | Unreadable]


@dataclass(frozen=True)
class Block:
    """Documents that are answered together.

    Attributes:
        documents: N texts, or features, CSR (N, F).
        fields: for each document the columns that go with its answer; empty where there are none at all.
    """

    documents: Texts | sp.csr_matrix
    fields: list[Record] = field(default_factory=list)


def read_documents(
    source: str,
    *,
    as_text: bool,
    num_features: int = 0,
    wanted: Wanted | None = None,
    strict: bool = True,
    progress: Progress = silent,
) -> Iterator[Block]:
    """Yield the documents of a source in blocks of at most 1,024.

    Args:
        source: `-` for standard input, or a path: lines of text or of JSON, CSV, TSV, Excel, Parquet, `.npz`, LIBSVM,
            the bag-of-words layout, or a dataset's folder, of which the test documents are taken, if there are any.
        as_text: whether the model takes text; then a file of no known suffix holds a text a line.
        num_features: columns of the model's features; LIBSVM does not say how many there are, and gets as many.
        wanted: of a table or of JSON: which columns are read.
        strict: of standard input: whether a line that cannot be read is an error, or an `Unreadable` in its place.
        progress: told how much of a file is read.

    Raises:
        DatasetError: there is no such file, or it is malformed; at the first problem.
    """
    wanted = wanted or Wanted()
    if source == STANDARD_INPUT:
        yield from _standard_input(wanted, strict)
        return
    path = Path(source)
    if path.is_dir():
        folder = open_folder(path)
        path = folder.files.get("test", folder.files["train"])
        if folder.layout != TABLE:
            wanted.carried.check_columns(str(folder.path))
            dataset = read_dataset(folder, progress=progress)
            yield from _split(dataset.test if dataset.test is not None else dataset.train)
            return
    if not path.exists():
        raise DatasetError(f"no documents at {source}", expected="a file, a folder, or - for standard input")
    yield from _file(path, wanted, num_features, as_text=as_text, progress=progress)


def _file(path: Path, wanted: Wanted, num_features: int, *, as_text: bool, progress: Progress) -> Iterator[Block]:
    """Yield the documents of a file, whose layout its suffix tells, or else its first lines."""
    if plain_suffix(path) in TABLE_SUFFIXES and plain_suffix(path) not in _JSON_SUFFIXES:
        yield from _batches(_table(path, wanted, progress))
        return
    if not as_text and plain_suffix(path) not in _JSON_SUFFIXES:
        wanted.carried.check_columns(str(path))
    if plain_suffix(path) == ".npz":
        yield from _rows(read_matrix(path))
    elif as_text or plain_suffix(path) in _JSON_SUFFIXES:
        with open_stream(path) as (content, position):
            total = path.stat().st_size
            read = _lines(content, path, wanted, strict=True)
            for block in read:
                yield block
                progress(f"read {path.name}", position(), total)
    elif is_libsvm(path):
        named = libsvm.read_split(path, NameTable(), progress=progress)
        assert named.X is not None
        named.X.resize(named.X.shape[0], max(named.X.shape[1], num_features))
        yield from _rows(named.X)
    else:
        yield from _split(xmc_text.read_split(path, progress=progress))


def _standard_input(wanted: Wanted, strict: bool) -> Iterator[Block]:
    """Yield what `_lines` does. Raises DatasetError where it is closed, or no file that one can read."""
    path = Path("standard input")
    if sys.stdin is None:
        raise DatasetError(f"{path} is closed", remedy="pipe documents into it, or name a file")
    try:
        yield from _lines(sys.stdin.buffer, path, wanted, strict)
    except OSError as error:
        if error.filename is not None:
            raise
        raise DatasetError(f"{path} cannot be read", found=error.strerror) from error


def _lines(content: BinaryIO, path: Path, wanted: Wanted, strict: bool) -> Iterator[Block]:
    """Yield texts, one a line; lines are JSON objects if the first begins with a brace. No line waits for others."""
    number, is_json = 0, plain_suffix(path) in _JSON_SUFFIXES
    for lines in _arrived(content, path):
        texts: list[tuple[str | Unreadable, Record]] = []
        for line in lines:
            number += 1
            problems = FileProblems(path)
            is_json = is_json or (number == 1 and line.removeprefix(BOM_UTF8).startswith(b"{"))
            if not is_json:
                wanted.carried.check_columns(f"{path}, lines of text,")
            text, fields = decoded(line, number, problems) or "", dict[str, Any]()
            if is_json and not problems.count:
                text, fields = _read_json(text, number, wanted, problems)
            if problems.count and not strict:
                texts.append((Unreadable(problems.told()), {}))
                continue
            problems.raise_if_any()
            texts.append((text, fields))
        yield from _batches(texts)


def _arrived(content: BinaryIO, path: Path) -> Iterator[list[bytes]]:
    """Yield whole lines as they arrive, those of a pipe at once."""
    begun: list[bytes] = []  # the line that has not ended yet
    read, length = getattr(content, "read1", content.read), 0
    while chunk := read(_READ_BYTES):
        first, *others = chunk.split(b"\n")
        begun.append(first)
        length += len(first)
        if length > _LONGEST:
            raise DatasetError(f"{path}: a line is too long", expected=f"at most {_LONGEST >> 20} MiB")
        if others:
            yield [b"".join(begun), *others[:-1]]
            begun, length = [others[-1]], len(others[-1])
    if length:
        yield [b"".join(begun)]


def _read_json(line: str, number: int, wanted: Wanted, problems: FileProblems) -> tuple[str, dict[str, Any]]:
    """Return the text of a JSON object, and the columns that go with the answer."""
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        record = f"{line[:40]!r} ({error})"
    if type(record) is str and not line.startswith('"'):
        problems.add(number, "a JSON object", record)
        return "", {}
    if type(record) is str and not wanted.carried.asked:
        return record, {}
    if type(record) is not dict:
        problems.add(number, "a JSON object or text" if not wanted.carried.asked else "a JSON object", line[:40])
        return "", {}
    for name in wanted.carried.asked:
        if name not in record:
            problems.add(number, f"a value under {name!r}", f"only {', '.join(record)}")
    names, texts = wanted.text, record
    if wanted.is_usual and not any(name in record for name in names):
        usual = next((usual for usual in USUAL_COLUMNS if any(name in record for name in usual)), names)
        texts = dict.fromkeys(usual) | record if usual != names else record
        names = usual
    return text_of(texts, names, number, problems) or "", wanted.carried.of(record)


def _table(path: Path, wanted: Wanted, progress: Progress) -> Iterator[tuple[str, Record]]:
    problems = FileProblems(path)
    needed, carried = (*wanted.text, *wanted.carried.asked), wanted.carried
    for number, record in records(path, needed, problems, progress, others=carried.others):
        text = text_of(record, wanted.text, number, problems)
        problems.raise_if_any()
        yield text or "", carried.of(record)
    problems.raise_if_any()


def _split(split: RawSplit) -> Iterator[Block]:
    if split.texts is not None:
        yield from _batches((text, {}) for text in split.texts)
    else:
        yield from _rows(split.X)


def _batches(texts: Iterable[tuple[str | Unreadable, Record]]) -> Iterator[Block]:
    remaining = iter(texts)
    while batch := list(islice(remaining, BLOCK)):
        fields = [fields for _, fields in batch]
        yield Block([text for text, _ in batch], fields if any(fields) else [])


def _rows(X: sp.csr_matrix) -> Iterator[Block]:
    for at in range(0, X.shape[0], BLOCK):
        yield Block(X[at : at + BLOCK])
