"""The files of an exported model: from its contents to named bytes, and back with every dtype, shape and range checked.

`DENSE` and `SPARSE` are the whole format of the matrices, with F features, L labels, D dimensions and N documents with
kNN votes. The bounds are far beyond what training makes; within them no sum of a prediction overflows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from xmlcli.arrays import Array
from xmlcli.errors import ArtifactError, XmlcliError
from xmlcli.kernels.products import QuantisedDense
from xmlcli.kernels.quantised import QuantisedRows
from xmlcli.metrics import parse_metric
from xmlcli.serving.contents import Frontend, ModelContents, settings_from_json, settings_to_json
from xmlcli.storage import files

_MOST = 1e6
_DTYPES = {"I8": np.int8, "U8": np.uint8, "U32": np.uint32, "F32": np.float32}


class Form(NamedTuple):
    """What a tensor must be: its dtype as safetensors spells it, its shape in symbols, and for floats their range."""

    dtype: str
    shape: tuple[str, ...]
    low: float = -_MOST
    high: float = _MOST
    optional: bool = False


def _dense(name: str, rows: str) -> dict[str, Form]:
    return {
        f"{name}.values": Form("I8", (rows, "D")),
        f"{name}.scale": Form("F32", (rows,), 0, _MOST / 127),
    }


DENSE: dict[str, Form] = {
    **_dense("tokens", "F"),
    **_dense("weight", "L"),
    **_dense("Z", "L"),
    "bias": Form("F32", ("L",)),
    "bonus": Form("F32", ("L",)),
    "frequencies": Form("F32", ("L",), 0, 2**31),
    "residual.weight": Form("F32", ("D", "D"), optional=True),
    "residual.bias": Form("F32", ("D",), optional=True),
    "idf": Form("F32", ("F",), 0, optional=True),
}
"""The tensors of `dense.safetensors`."""

SPARSE = {
    "words": ("L", "F"),
    "linear": ("L", "F"),
    "label_text": ("L", "F"),
    "voters": ("N", "F"),
    "voters_labels": ("N", "L"),
}
"""The sparse matrices by their shape, each a file of its own, none of which must be there."""

_DENSE_FILE, _DENSE_MATRICES = "dense.safetensors", ("tokens", "weight", "Z")
_FLOATS = ("bias", "bonus", "frequencies")
_JSON = {"settings": True, "about": True, "vocabulary": False, "label_names": False}  # whether it must be there
FILES = (_DENSE_FILE, *(f"{name}.safetensors" for name in SPARSE), *(f"{name}.json" for name in _JSON))
"""The names of all files that a model may have, but for manifest and card."""


def to_files(contents: ModelContents) -> dict[str, bytes]:
    """Return the files by name. Raises ArtifactError where numbers are out of range, after training that diverged."""
    from safetensors.numpy import save

    arrays: dict[str, Array] = {name: getattr(contents, name) for name in _FLOATS}
    for name in _DENSE_MATRICES:
        matrix: QuantisedDense = getattr(contents, name)
        arrays |= {f"{name}.values": matrix.values, f"{name}.scale": matrix.scale}
    if contents.residual is not None:
        arrays |= {"residual.weight": contents.residual[0], "residual.bias": contents.residual[1]}
    if contents.frontend.idf is not None:
        arrays["idf"] = contents.frontend.idf
    tensors = {_DENSE_FILE: {name: np.ascontiguousarray(array) for name, array in arrays.items()}}
    tensors |= {
        f"{name}.safetensors": rows.to_arrays() for name in SPARSE if (rows := getattr(contents, name)) is not None
    }
    _check_tensors(tensors)
    by_name = {name: save(of_file) for name, of_file in tensors.items()}
    frontend = contents.frontend
    values = {
        "settings": settings_to_json(contents.settings, contents.combination),
        "about": contents.about,
        "vocabulary": frontend.vocabulary,
        "label_names": frontend.label_names,
    }
    return by_name | {f"{name}.json": files.json_bytes(value) for name, value in values.items() if value is not None}


def from_files(by_name: Mapping[str, bytes]) -> ModelContents:
    """Return what files, whose names are of `FILES`, hold. Raises ArtifactError where that is no model."""
    tensors = {name: _load_tensors(name, raw) for name, raw in by_name.items() if name.endswith(".safetensors")}
    dims = _check_tensors(tensors)
    values = {name: _load_json(f"{name}.json", by_name, required) for name, required in _JSON.items()}
    settings, combination = settings_from_json(values["settings"])
    _check_about(values["about"])
    _check_label_names(values["label_names"], dims["L"])
    dense = tensors[_DENSE_FILE]
    matrices = {name: QuantisedDense(dense[f"{name}.values"], dense[f"{name}.scale"]) for name in _DENSE_MATRICES}
    rows = {
        name: QuantisedRows.from_arrays(arrays, num_columns=dims[shape[1]])
        for name, shape in SPARSE.items()
        if (arrays := tensors.get(f"{name}.safetensors")) is not None
    }
    residual = (dense["residual.weight"], dense["residual.bias"]) if "residual.weight" in dense else None
    contents = ModelContents(
        tokens=matrices["tokens"],
        residual=residual,
        weight=matrices["weight"],
        bias=dense["bias"],
        Z=matrices["Z"],
        bonus=dense["bonus"],
        frequencies=dense["frequencies"],
        words=rows.get("words"),
        linear=rows.get("linear"),
        label_text=rows.get("label_text"),
        voters=rows.get("voters"),
        voters_labels=rows.get("voters_labels"),
        frontend=Frontend(values["vocabulary"], dense.get("idf"), values["label_names"]),
        settings=settings,
        combination=combination,
        about=values["about"],
    )
    contents.check_parts()
    return contents


def _load_tensors(name: str, raw: bytes) -> dict[str, Array]:
    """Return the tensors of a file by name, of dtypes that a model may have."""
    from safetensors import SafetensorError, deserialize

    try:
        entries = deserialize(raw)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise ArtifactError("no safetensors", where=name, found=str(error)) from error
    arrays = {}
    for tensor, entry in entries:
        if entry["dtype"] not in _DTYPES:
            raise _misfit(name, tensor, " or ".join(_DTYPES), entry["dtype"])
        arrays[tensor] = np.frombuffer(entry["data"], _DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return arrays


def _check_tensors(tensors: Mapping[str, Mapping[str, Array]]) -> dict[str, int]:
    """Compare all tensors of all files with the table; return F, L, D and, if there are such documents, N."""
    dims: dict[str, int] = {}
    if _DENSE_FILE not in tensors:
        raise ArtifactError("a file is missing", where=_DENSE_FILE)
    _check_file(_DENSE_FILE, tensors[_DENSE_FILE], DENSE, dims)
    if ("residual.weight" in tensors[_DENSE_FILE]) != ("residual.bias" in tensors[_DENSE_FILE]):
        raise _misfit(_DENSE_FILE, "residual", "weight and bias, or neither", "one of them")
    for matrix, shape in SPARSE.items():
        name = f"{matrix}.safetensors"
        if name in tensors:
            entries = f"entries of {matrix}"
            table = {
                "counts": Form("U32", (shape[0],)),
                "columns": Form("U8", (f"bytes of {matrix}",)),
                "values": Form("I8", (entries,)),
                "scale": Form("F32", (shape[0],), 0, _MOST / 127),
                "bias": Form("F32", (shape[0],), optional=True),
            }
            _check_file(name, tensors[name], table, dims)
    return dims


def _check_file(name: str, arrays: Mapping[str, Array], table: Mapping[str, Form], dims: dict[str, int]) -> None:
    """Compare the tensors of a file with its table; symbols without a number yet get theirs."""
    for tensor in (*(tensor for tensor in arrays if tensor not in table), *table):
        if tensor not in table:
            raise _misfit(name, tensor, f"one of {', '.join(table)}", "another tensor")
        form, array = table[tensor], arrays.get(tensor)
        if array is None:
            if form.optional:
                continue
            raise _misfit(name, tensor, "a tensor", "none")
        if len(array.shape) == len(form.shape):
            for symbol, size in zip(form.shape, array.shape, strict=True):
                dims.setdefault(symbol, size)
        shape = tuple(dims.get(symbol, 1) for symbol in form.shape)
        is_filled = 0 not in [size for symbol, size in zip(form.shape, shape, strict=True) if len(symbol) == 1]
        if array.dtype != _DTYPES[form.dtype] or array.shape != shape or not is_filled:
            expected = f"{form.dtype} {list(form.shape)}, {list(shape)} here, without a size of 0"
            raise _misfit(name, tensor, expected, f"{array.dtype} {list(array.shape)}")
        if form.dtype == "F32" and not (array.min() >= form.low and array.max() <= form.high):  # nor where one is NaN
            raise _misfit(name, tensor, f"numbers from {form.low:g} to {form.high:g}", "others, or NaN")


def _load_json(name: str, by_name: Mapping[str, bytes], required: bool) -> Any:
    import orjson

    if name not in by_name:
        if required:
            raise ArtifactError("a file is missing", where=name)
        return None
    try:
        return orjson.loads(by_name[name])
    except orjson.JSONDecodeError as error:
        raise ArtifactError("no JSON", where=name, found=str(error)) from error


def _check_label_names(names: object, num_labels: int) -> None:
    if names is None:
        return
    if not isinstance(names, list) or len(names) != num_labels or not all(type(name) is str for name in names):
        raise ArtifactError("the labels have no names", where="label_names.json", expected=f"{num_labels:,} texts")


def _check_about(about: object) -> None:
    """Raise ArtifactError where the card could not be written."""
    good = isinstance(about, dict) and isinstance(about.get("dataset", ""), str)
    parts = [about.get(key, {}) for key in ("data", "metrics", "parameters")] if isinstance(about, dict) else []
    if good and all(isinstance(part, dict) for part in parts):
        flat = [item for item in parts[1].items() if not isinstance(item[1], dict)]
        validation = parts[1].get("validation", {})
        if isinstance(validation, dict) and all(map(_is_figure, [*flat, *validation.items()])):
            return
    raise ArtifactError("the card's data are of another form", where="about.json")


def _is_figure(item: tuple[str, object]) -> bool:
    try:
        parse_metric(item[0])
    except XmlcliError:
        return False
    return type(item[1]) in (int, float)


def _misfit(file: str, tensor: str, expected: str, found: str) -> ArtifactError:
    return ArtifactError("a tensor does not fit", where=f"{tensor[:80]!r} in {file}", expected=expected, found=found)
