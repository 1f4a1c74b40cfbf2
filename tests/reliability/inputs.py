"""Right files of datasets, documents, predictions and archives, of which `make fuzz` makes wrong ones."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from typing import Any

import numpy as np
import scipy.sparse as sp

Files = dict[str, bytes]

F, L = 12, 6
_TEXT = "text,labels\r\nalpha beta,a;b\r\n\"gamma, delta\",\"['a', 'c']\"\r\nepsilon,\r\nzeta eta,d\r\n"


def _npz(matrix: Any, form: str = "csr") -> bytes:
    target = io.BytesIO()
    sp.save_npz(target, matrix.asformat(form), compressed=form == "coo")
    return target.getvalue()


def _matrices() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    X = sp.random(8, F, 0.4, format="csr", dtype=np.float32, random_state=rng)
    return X, sp.csr_matrix((sp.random(8, L, 0.4, random_state=rng) > 0).astype(np.float32))


def _xmc(header: str, separator: str = "\n") -> bytes:
    rows = ["0,2 0:1 3:0.5 11:2", "1 2:1e-3 4:.5", " 5:1 6:2", "5,4,3 1:-1", "0 7:1 8:1 9:1 10:3", "2,1 0:0"]
    return "\n".join([*([header] if header else []), *rows, ""]).replace("\n", separator).encode()


def datasets() -> dict[str, list[Files]]:
    X, Y = _matrices()
    documents = [
        {"uid": "1", "title": "alpha beta", "content": "x", "target_ind": [0, 2]},
        {"title": "é", "target_ind": []},
    ]
    lines = b"".join(json.dumps(document).encode() + b"\n" for document in documents * 3)
    labels = b"".join(b'{"title": "label %d"}\n' % i for i in range(L))
    names = b"".join(b"label %d\n" % i for i in range(L))
    table = [
        {"text": "alpha beta", "labels": ["a", "b"]},
        {"text": "gamma", "labels": "c;a"},
        {"text": None, "labels": 3},
    ]
    uris = b"".join(b"<http://x/%d>\tlabel %d\n" % (i, i) for i in range(L))
    corpus = b"alpha beta\t<http://x/1> <http://x/2>\ngamma\t\ndelta\thttp://x/3\n"
    split = {"train.txt": _xmc(f"6 {F} {L}"), "test.txt": _xmc(f"6 {F} {L}", "\r\n")}
    sparse = b"3 12\n0:1 3:0.5\n\n4:1 11:2\n"
    return {
        "bag of words": [split, split | {"labels.txt": names, "filter_labels_test.txt": b"0 1\n2 0\n"}],
        "one file, two splits": [
            {"c_data.txt": _xmc(f"6 {F} {L}"), "c_trSplit.txt": b"1 2\n2 3\n4 5\n", "c_tstSplit.txt": b"3 1\n5\n"},
        ],
        "sparse text": [{"trn_X_Xf.txt": sparse, "trn_X_Y.txt": b"3 6\n0:1\n1:1 2:1\n\n", "Yf.txt": names}],
        "raw text": [
            {"trn.json": lines, "lbl.json": labels}, {"trn.json.gz": gzip.compress(lines), "Yf.txt": names},
            {"trn.json": lines, "tst.json": lines, "lbl.json": labels, "filter_labels_test.txt": b"0 1\n"},
        ],
        "PECOS": [
            {"X.trn.npz": _npz(X), "Y.trn.npz": _npz(Y), "output-items.txt": names},
            {"X.trn.npz": _npz(X, "csc"), "Y.trn.npz": _npz(Y, "coo"), "X.tst.npz": _npz(X), "Y.tst.npz": _npz(Y)},
            {"X.trn.txt": b"alpha beta\n\ngamma\nd\ne\nf\ng\nh\n", "Y.trn.npz": _npz(Y)},
        ],
        "AttentionXML": [{"train_texts.txt": b"alpha beta\ngamma\n\n", "train_labels.txt": b"a b\n7\nc\n"}],
        "Annif": [{"train.tsv": corpus, "vocab.tsv": uris}, {"train.tsv.gz": gzip.compress(corpus), "vocab.tsv": uris}],
        "LIBSVM": [{"train.svm": _xmc("")}, {"train.svm": _xmc("", "\r\n"), "test.svm": _xmc("")}],
        "CSV": [{"t.csv": _TEXT.encode()}, {"t.tsv": b"sep=\t\ntext\tlabels\na\tx;y\nb\t[\"u\", 1]\n"}],
        "JSON lines": [{"t.jsonl": b"".join(json.dumps(row).encode() + b"\n" for row in table * 2)}],
    }  # fmt: skip


def documents() -> list[Files]:
    X, _ = _matrices()
    return [
        {"d.txt": "alpha beta\n\ngamma é\r\nd\n".encode()},
        {"d.jsonl": b'{"text": "a"}\n{"title": "b", "content": "c"}\n"d"\n'},
        {"d.csv": _TEXT.encode()}, {"d.npz": _npz(X)}, {"d.svm": _xmc("")}, {"d.xmc": _xmc(f"6 {F} {L}")},
    ]  # fmt: skip


def predictions() -> list[Files]:
    _, Y = _matrices()
    text = b"8 6\n0:1 2:.5\n\n3:1e-5,4:2\n5:-1\n0:1\n1:1\n2:1\n3:1\n"
    return [{"p.txt": text}, {"p.txt": text.partition(b"\n")[2]}, {"p.npz": _npz(Y)}, {"p.npz": _npz(Y, "coo")}]


def archives() -> list[Files]:
    members = {"c/": b"", "c/train.txt": _xmc(f"6 {F} {L}"), "c/inner/labels.txt": b"a\nb\n", "__MACOSX/x": b"y"}
    zipped, plain = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        plain = io.BytesIO()
        with tarfile.open(fileobj=plain, mode="w", format=form) as tar:
            for name, content in ({"c/" + "n" * 150: b"long"} | members).items():
                info = tarfile.TarInfo(name)
                info.size, info.type = len(content), tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
                tar.addfile(info, io.BytesIO(content))
    raw = plain.getvalue()
    return [
        {"a.zip": zipped.getvalue()}, {"a": zipped.getvalue()}, {"a.tar": raw}, {"a.gz": gzip.compress(raw)},
        {"a.bz2": bz2.compress(raw)}, {"a.xz": lzma.compress(raw)},
    ]  # fmt: skip
