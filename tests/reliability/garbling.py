"""Wrong bytes made of right ones: single bits, spans, lines, numbers, values of JSON, members of archives."""

from __future__ import annotations

import gzip
import io
import json
import random
import re
import zipfile
from collections.abc import Sequence
from typing import Any

_SPAN = 64
_ROUNDS = (1, 1, 1, 2, 4)
_NUMBER = re.compile(rb"\d+")
_NUMBERS = (
    b"0", b"1", b"-1", b"2", b"255", b"256", b"65536", b"2147483647", b"2147483648", b"4294967295", b"4294967296",
    b"9223372036854775807", b"9223372036854775808", b"1e9", b"1e999", b"-1e999", b"nan", b"inf", b"0.1", b".", b"1_0",
    b"0x10", b"0777", b"1" * 40, b"9" * 5000, b"1000000000000",
)  # fmt: skip
_TOKENS = (
    *_NUMBERS, b"", b" ", b"\0", b"\t", b"\n", b"\r", b"\r\n", b"\n\n", b",", b":", b";", b'"', b"'", b"[", b"]", b"{",
    b"}", b"#", b"&a", b"*a", b"!!int ", b"!!python/none ", b"<<: ", b"- ", b"? ", b"|\n", b"%", b"\\", b"\\u0000",
    b"\\ud800", b"..", b"/", b"../../x", b"\x1b[31m", b"\x7f", b"\x80", b"\xff", b"\xff\xfe", b"\xef\xbb\xbf",
    b"\xed\xa0\x80", b"\xe2\x80\xa8", b"\xc2\xa0", b"\xd9\xa3", b"null", b"true", b"NaN", b"[" * 2000, b'{"a":' * 500,
    b"PK\3\4", b"PK\5\6", b"\x93NUMPY\1\0", b"x" * 3000,
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 255, 10**6, 2**31, 2**63, 10**30, 0.5, -0.0, 1e300, -1e300, "", "x", "1", "../..",
    "\x1b[31m", "\ud800", [], {}, [[]], [0], {"a": 1}, "x" * 2000,
)  # fmt: skip


def flipped(content: bytes, rng: random.Random) -> bytes:
    """Return the bytes with one bit flipped; of none, one."""
    if not content:
        return b"\0"
    at = rng.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]


def garbled(content: bytes, rng: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """Return the bytes after some random changes; spans may come from `others`."""
    for _ in range(rng.choice(_ROUNDS)):
        content = _changed_once(content, rng, others)
    return content


def _changed_once(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(content) + 1)
    end = min(len(content), at + rng.randint(1, _SPAN))
    match rng.randrange(10):
        case 0 | 1:
            return flipped(content, rng)
        case 2:
            return content[:at] + content[end:]
        case 3:
            return content[:end] + content[at:end] * rng.choice([1, 1, 2, 50]) + content[end:]
        case 4:
            return content[:at] + rng.randbytes(end - at) + content[end:]
        case 5:
            return content[:at] + rng.choice(_TOKENS) + content[at:]
        case 6:
            found = list(_NUMBER.finditer(content))
            if found:
                number = rng.choice(found)
                return content[: number.start()] + rng.choice(_NUMBERS) + content[number.end() :]
        case 7:
            lines = content.split(b"\n")
            lines.insert(rng.randrange(len(lines) + 1), lines.pop(rng.randrange(len(lines))))
            return b"\n".join(lines)
        case 8:
            return content[:at]
        case 9:
            other = rng.choice(others or [content])
            start = rng.randrange(len(other) + 1)
            return content[:at] + other[start : start + rng.randint(1, _SPAN)] + content[end:]
    return content[:at] + rng.choice(_TOKENS) + content[end:]


def garbled_members(content: bytes, rng: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """Return a zip archive of which one member is garbled, absent or renamed, or that is garbled as bytes."""
    if rng.random() < 0.3:
        return garbled(content, rng, others)
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    chosen = rng.choice(list(members))
    how = rng.random()
    if how < 0.05:
        del members[chosen]
    elif how < 0.1:
        members[chosen.replace("a", "b")] = members.pop(chosen)
    elif how < 0.2:
        members[chosen] = rng.choice(list(members.values()))
    else:
        members[chosen] = garbled(members[chosen], rng)
    method = rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return target.getvalue()


def garbled_gzip(content: bytes, rng: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """Return a gzip file whose content is garbled, or that is garbled itself."""
    if rng.random() < 0.3:
        return garbled(content, rng, others)
    return gzip.compress(garbled(gzip.decompress(content), rng), compresslevel=1)


def garbled_json(content: bytes, rng: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """Return JSON, of lines one, in which some values are others, left out or repeated; or garbled as bytes."""
    if rng.random() < 0.4:
        return garbled(content, rng, others)
    lines = content.splitlines(keepends=True) if content.count(b"\n{") else [content]
    chosen = rng.randrange(len(lines))
    value = json.loads(lines[chosen])
    for _ in range(rng.randint(1, 2)):
        value = other_json(value, rng)
    lines[chosen] = json.dumps(value).encode() + b"\n"
    return b"".join(lines)


def other_json(value: Any, rng: random.Random) -> Any:
    """Return JSON that differs in one place, at any depth."""
    if isinstance(value, dict | list) and value and rng.random() < 0.9:
        copied: Any = value.copy()
        key = rng.choice(list(value) if isinstance(value, dict) else range(len(value)))
        how = rng.random()
        if how < 0.1:
            del copied[key]
        elif how < 0.2 and isinstance(copied, list):
            copied.insert(key, copied[key])
        else:
            copied[key] = other_json(value[key], rng)
        return copied
    if type(value) is int and rng.random() < 0.5:
        return value + rng.choice([-1, 1, 7, 100])
    return rng.choice(_VALUES)
