"""Which columns of a table or of JSON are read of the documents to predict labels for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from xmlcli.datasets.formats.records import Record
from xmlcli.errors import DatasetError

USUAL_COLUMNS = (("text",), ("title", "content"))
"""Of JSON: the columns of a text where the model's own are not there; the second are the repository's raw text."""
ID = "id"


@dataclass(frozen=True)
class Carried:
    """Which columns of a table or of JSON go with the answer to a document.

    Attributes:
        id_column: the one that names the document; None for `id`, in any case, where there is one.
        keep: others.
        whole: all of them, in the order they have.
    """

    id_column: str | None = None
    keep: tuple[str, ...] = ()
    whole: bool = False

    @property
    def asked(self) -> tuple[str, ...]:
        """The columns that have to be there."""
        return (*((self.id_column,) if self.id_column else ()), *self.keep)

    @property
    def others(self) -> tuple[str, ...] | None:
        """The columns to read beside the text, None for all."""
        return None if self.whole else (*self.asked, ID, ID.upper(), ID.title())

    def of(self, record: Record) -> dict[str, Any]:
        """Return what a record gives to its answer; its id comes first and is called `id`."""
        if self.whole:
            return dict(record)
        name = self.id_column or next((name for name in record if name.lower() == ID), None)
        return ({ID: record.get(name)} if name else {}) | {name: record.get(name) for name in self.keep}

    def check_columns(self, what: str) -> None:
        """Raise DatasetError for documents that have no columns, where some are asked for."""
        if self.asked or self.whole:
            raise DatasetError(
                f"{what} has no columns to go with the answers",
                expected="a table (CSV, TSV, Excel, Parquet) or JSON lines",
                remedy="leave out --id-column, --keep and --wide",
            )


@dataclass(frozen=True)
class Wanted:
    """What is read of each document of a table or of JSON.

    Attributes:
        text: the columns of the text.
        is_usual: whether they are the model's own and not asked for; JSON may have others then.
        carried: what goes with the answer.
    """

    text: tuple[str, ...] = USUAL_COLUMNS[0]
    is_usual: bool = True
    carried: Carried = field(default_factory=Carried)
