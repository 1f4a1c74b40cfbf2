"""`.npz` files that are no sparse matrices: one for each fault that a reader has to find."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

ROWS, COLUMNS = 3, 4
Faults = Mapping[str, bytes | None]
Write = Callable[[Path], None]


def npy(values: object) -> bytes:
    """The bytes of an `.npy` file; objects are pickled."""
    out = io.BytesIO()
    np.lib.format.write_array(out, np.asarray(values), allow_pickle=True)
    return out.getvalue()


def header(text: str, content: bytes = b"", *, version: int = 1, length: int | None = None) -> bytes:
    """An `.npy` file whose header says anything."""
    size = struct.pack("<H" if version == 1 else "<I", len(text) if length is None else length)
    return b"\x93NUMPY" + bytes([version, 0]) + size + text.encode() + content


def members(form: str = "csr") -> dict[str, bytes]:
    """The members of a matrix of 3 by 4 with the entries (0, 1), (0, 3) and (2, 0)."""
    places = {
        "csr": {"indices": [1, 3, 0], "indptr": [0, 2, 2, 3]},
        "csc": {"indices": [2, 0, 0], "indptr": [0, 1, 2, 2, 3]},
        "coo": {"row": [0, 0, 2], "col": [1, 3, 0]},
    }[form]
    arrays = {name: np.array(values, np.int32) for name, values in places.items()}
    parts = {"format": form.encode(), "shape": np.array([ROWS, COLUMNS]), "data": np.ones(3, np.float32)}
    return {name: npy(values) for name, values in (arrays | parts).items()}


def write(path: Path, form: str = "csr", faults: Faults | None = None, method: int = zipfile.ZIP_STORED) -> None:
    """Write a matrix of which some members are others; None for none."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in (members(form) | dict(faults or {})).items():
            if content is not None:
                archive.writestr(f"{name}.npy", content)


def _faulty(form: str = "csr", method: int = zipfile.ZIP_STORED, **values: object) -> Write:
    """Return what writes a matrix some of whose members are other arrays, or other bytes."""
    faults = {n: value if value is None or isinstance(value, bytes) else npy(value) for n, value in values.items()}
    return partial(write, form=form, faults=faults, method=method)


def _patched(change: Callable[[bytearray], object], method: int = zipfile.ZIP_STORED) -> Write:
    """Return what writes a matrix and changes the bytes of the file."""

    def patch(path: Path) -> None:
        write(path, method=method)
        content = bytearray(path.read_bytes())
        change(content)
        path.write_bytes(content)

    return patch


def _in_directory(offset: int, value: bytes, local_offset: int | None = None) -> Callable[[bytearray], None]:
    """Return what sets a field of each member, in the directory and, if it is there, before the member."""

    def change(content: bytearray) -> None:
        for sign, start in ((b"PK\1\2", offset), (b"PK\3\4", local_offset)):
            at = content.find(sign)
            while at >= 0 and start is not None:
                content[at + start : at + start + len(value)] = value
                at = content.find(sign, at + 4)

    return change


def _bytes(content: bytes) -> Write:
    return lambda path: path.write_bytes(content) and None


def _twice(path: Path) -> None:
    write(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("tada.npy", npy(np.zeros(3)))
    path.write_bytes(path.read_bytes().replace(b"tada.npy", b"data.npy"))


def _many_members(path: Path) -> None:
    write(path)
    with zipfile.ZipFile(path, "a") as archive:
        for number in range(2000):
            archive.writestr(f"a member with a long name, number {number}", b"")


def _cut(content: bytearray, at: int) -> None:
    del content[at:]


def _spoil_data(content: bytearray) -> None:
    at = content.find(np.ones(3, np.float32).tobytes())
    content[at] ^= 1


def _spoil_deflated(content: bytearray) -> None:
    at = content.find(b"data.npy") + len("data.npy")
    content[at + 2 : at + 20] = b"\xff" * 18


def _spoil_name(content: bytearray) -> None:
    _in_directory(8, b"\0\x08", 6)(content)  # names are UTF-8, it says
    content[:] = content.replace(b"data.npy", b"\xff\xfeta.npy")


_MILLION, _HUGE = 10**6, 10**12
_I4 = partial(np.array, dtype=np.int32)
_INT, _FLOAT = "'descr': '<i4', 'fortran_order': False", "'descr': '<f4', 'fortran_order': False"
_ONES = np.ones(3, np.float32).tobytes()

MALFORMED: dict[str, Write] = {
    "index out of range": _faulty(indices=_I4([1, 4, 0])),
    "index far out of range": _faulty(indices=_I4([1, 2**31 - 1, 0])),
    "index of 64 bits": _faulty(indices=np.array([1, 2**40, 0])),
    "index unsigned": _faulty(indices=np.array([1, 2**64 - 1, 0], np.uint64)),
    "index negative": _faulty(indices=_I4([-1, 3, 0])),
    "index in CSC": _faulty("csc", indices=_I4([2, 3, 0])),
    "row in COO": _faulty("coo", row=_I4([0, 3, 2])),
    "row negative in COO": _faulty("coo", row=_I4([0, -1, 2])),
    "column in COO": _faulty("coo", col=_I4([1, 3, -9])),
    "rows fewer in COO": _faulty("coo", row=_I4([0, 0])),
    "indices are fractions": _faulty(indices=np.array([1.0, 3.0, 0.0])),
    "indices fewer": _faulty(indices=_I4([1, 3])),
    "indices in a table": _faulty(indices=_I4([[1], [3], [0]])),
    "indptr falls": _faulty(indptr=_I4([0, 3, 2, 3])),
    "indptr leaps": _faulty(indptr=_I4([0, 2**31 - 1, 2, 3])),
    "indptr negative": _faulty(indptr=_I4([0, -5, 2, 3])),
    "indptr unsigned": _faulty(indptr=np.array([0, 2**64 - 1, 2, 3], np.uint64)),
    "indptr not from 0": _faulty(indptr=_I4([1, 2, 2, 3])),
    "indptr not to the end": _faulty(indptr=_I4([0, 1, 1, 2])),
    "indptr behind the end": _faulty(indptr=_I4([0, 2, 2, 9])),
    "indptr behind the end in CSC": _faulty("csc", indptr=_I4([0, 1, 2, 2, _MILLION])),
    "indptr short": _faulty(indptr=_I4([0, 3])),
    "indptr empty": _faulty(indptr=_I4([])),
    "data of objects": _faulty(data=np.array([{}, 1, 2], object)),
    "data complex": _faulty(data=np.ones(3, complex)),
    "data structured": _faulty(data=np.zeros(3, [("a", "f4"), ("b", "i4")])),
    "data of dates": _faulty(data=np.zeros(3, "datetime64[s]")),
    "data of text": _faulty(data=np.array(["a", "b", "c"])),
    "data a number": _faulty(data=np.float32(1)),
    "data in a table": _faulty(data=np.ones((3, 1), np.float32)),
    "data fewer": _faulty(data=np.ones(2, np.float32)),
    "data more": _faulty(data=np.ones(4, np.float32)),
    "shape of 10^12 rows": _faulty(shape=np.array([_HUGE, COLUMNS])),
    "shape of 10^9 rows": _faulty(shape=np.array([10**9, COLUMNS])),
    "shape of 10^9 rows in COO": _faulty("coo", shape=np.array([10**9, COLUMNS])),
    "shape of 10^9 rows in CSC": _faulty("csc", shape=np.array([10**9, COLUMNS])),
    "shape of 10^12 columns": _faulty(shape=np.array([ROWS, _HUGE])),
    "shape unsigned": _faulty(shape=np.array([ROWS, 2**64 - 1], np.uint64)),
    "shape negative": _faulty(shape=np.array([ROWS, -COLUMNS])),
    "shape of one": _faulty(shape=np.array([ROWS])),
    "shape of three": _faulty(shape=np.array([ROWS, COLUMNS, 1])),
    "shape of fractions": _faulty(shape=np.array([3.0, 4.0])),
    "format unknown": _faulty(format=b"xyz"),
    "format of blocks": _faulty(format=b"bsr"),
    "format a number": _faulty(format=3),
    "format a list": _faulty(format=np.array([b"csr"])),
    "no data": _faulty(data=None),
    "no indptr": _faulty(indptr=None),
    "no format": _faulty(format=None),
    "no shape": _faulty(shape=None),
    "header claims 10^12 values": _faulty(data=header(f"{{{_FLOAT}, 'shape': ({_HUGE},), }}\n", _ONES)),
    "header claims more than memory": _faulty(data=header(f"{{{_FLOAT}, 'shape': ({2**62}, {2**62}), }}\n", _ONES)),
    "header of 4,400 digits": _faulty(data=header(f"{{{_FLOAT}, 'shape': ({'9' * 4400},), }}\n", _ONES)),
    "header negative": _faulty(data=header(f"{{{_FLOAT}, 'shape': (-3,), }}\n", _ONES)),
    "header without end": _faulty(data=header(f"{{{_FLOAT}, 'shape': (3", _ONES)),
    "header of braces": _faulty(data=header("{" * 1000, _ONES)),
    "header of minus signs": _faulty(data=header("-" * 4000, _ONES)),
    "header of quotes": _faulty(data=header("'''", _ONES)),
    "header that calls": _faulty(data=header("__import__('os').getcwd()", _ONES)),
    "header of another dtype": _faulty(
        data=header("{'descr': '<f3', 'fortran_order': False, 'shape': (3,), }\n", _ONES)
    ),
    "header of a nested dtype": _faulty(
        data=header("{'descr': '(1000000000,)f4', 'fortran_order': False, 'shape': (3,), }\n", _ONES)
    ),
    "header longer than the file": _faulty(data=header("{}", _ONES, length=60_000)),
    "header of 4 GiB": _faulty(data=header("{}", _ONES, version=2, length=2**32 - 1)),
    "version unknown": _faulty(data=header(f"{{{_FLOAT}, 'shape': (3,), }}\n", _ONES, version=9)),
    "array ends early": _faulty(data=header(f"{{{_FLOAT}, 'shape': (3,), }}\n", _ONES[:7])),
    "array ends late": _faulty(data=header(f"{{{_FLOAT}, 'shape': (3,), }}\n", _ONES + b"\0")),
    "array empty": _faulty(data=b""),
    "array is text": _faulty(data=b"1 1 1\n"),
    "indptr of 10^9 zeros": _faulty(
        shape=np.array([10**9 - 1, COLUMNS]), indptr=header(f"{{{_INT}, 'shape': ({10**9},), }}\n", bytes(16))
    ),
    "zip bomb": _faulty(
        method=zipfile.ZIP_DEFLATED, shape=np.array([9 * 2**21 - 1, COLUMNS]), data=np.ones(0, np.float32),
        indices=_I4([]), indptr=np.zeros(9 * 2**21, np.int32),
    ),
    "encrypted": _patched(_in_directory(8, b"\1\0", 6)),
    "encrypted strongly": _patched(_in_directory(8, b"\x41\0", 6)),
    "patched data": _patched(_in_directory(8, b"\x20\0", 6)),
    "compression unknown": _patched(_in_directory(10, b"\x63\0", 8)),
    "compression implode": _patched(_in_directory(10, b"\x06\0", 8)),
    "compression LZMA": _faulty(method=zipfile.ZIP_LZMA),
    "compression LZMA of nothing": _patched(_in_directory(10, b"\x0e\0", 8)),
    "compression bzip2 of nothing": _patched(_in_directory(10, b"\x0c\0", 8)),
    "compression deflate of nothing": _patched(_in_directory(10, b"\x08\0", 8)),
    "compressed data damaged": _patched(_spoil_deflated, zipfile.ZIP_DEFLATED),
    "size claimed": _patched(_in_directory(24, b"\xff\xff\xff\x7f", 22)),
    "sizes claimed": _patched(_in_directory(20, b"\xff\xff\xff\x7f\xff\xff\xff\x7f", 18)),
    "size claimed when unpacked": _patched(_in_directory(24, b"\xff\xff\xff\x7f", 22), zipfile.ZIP_DEFLATED),
    "place behind the end": _patched(_in_directory(42, b"\xff\xff\xff\x7f")),
    "name not UTF-8": _patched(_spoil_name),
    "extra field broken": _patched(_in_directory(30, b"\x07\0")),
    "checksum": _patched(_spoil_data),
    "member twice": _twice,
    "members by the thousand": _many_members,
    "cut in two": _patched(lambda content: _cut(content, len(content) // 2)),
    "cut at the end": _patched(lambda content: _cut(content, len(content) - 5)),
    "empty": _bytes(b""),
    "text": _bytes(b"0:1 1:1\n"),
    "zip of nothing": _bytes(b"PK\5\6" + bytes(18)),
    "end of a zip only": _bytes(b"PK\5\6"),
    "directory before the start": _bytes(b"PK\5\6" + bytes(8) + b"\x40\0\0\0\xff\xff\xff\x0f\0\0"),
    "one array": _bytes(npy(np.ones((ROWS, COLUMNS)))),
    "pickle": _bytes(b"\x80\x04K\x01."),
}  # fmt: skip
"""What is wrong → what writes such a file."""
