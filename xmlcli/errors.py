"""The one exception family of the program, whatever a user can cause and mend, and the exit codes of its processes."""

from __future__ import annotations

EXIT_ERROR, EXIT_INTERRUPTED, EXIT_TERMINATED = 2, 130, 143
"""After an error that is told, after Ctrl-C, and after SIGTERM; 128 + the signal's number, as shells have it."""


class XmlcliError(Exception):
    """One message: what is wrong, then a line each for where, expected, found and what to do, where they say more."""

    def __init__(
        self,
        message: str,
        *,
        where: str | None = None,
        expected: str | None = None,
        found: str | None = None,
        remedy: str | None = None,
    ) -> None:
        parts = {"where": where, "expected": expected, "found": found, "what to do": remedy}
        lines = [f"{name}: {text}" for name, text in parts.items() if text]
        super().__init__("\n".join([message, *lines]))


class ConfigError(XmlcliError):
    """A configuration cannot be used."""


class DatasetError(XmlcliError):
    """A dataset is absent, of no known layout, or malformed."""


class AbsentDatasetError(DatasetError):
    """A published collection is known but not on this machine."""


class UnfetchedError(AbsentDatasetError):
    """A published collection is not on this machine and was not fetched: why, where to get it, what to type, each a
    line of its own also where it is shown."""

    def __init__(self, name: str, why: str, page: str) -> None:
        get = f"get its archive with a browser: {page}"
        remedy = f"then type: xmlcli fetch {name} --url FILE (the dataset demo needs no files)"
        super().__init__(f"{name} is not on this machine, {why}\n{get}\n{remedy}")


class ArtifactError(XmlcliError):
    """An artifact is absent, incomplete or not what was expected."""


class DamagedFileError(ArtifactError):
    """A file of an artifact is not what the manifest says; `name` is the file's."""

    def __init__(self, path: str, *, expected: str | None, found: str, remedy: str) -> None:
        super().__init__(
            "a file of an artifact is damaged", where=path, expected=expected, found=found, remedy=remedy
        )
        self.name = path.rpartition("/")[2]


class LockedError(XmlcliError):
    """Another run works on the same artifacts."""


class UsageError(XmlcliError):
    """A command was called in a way it does not know."""


class RanksError(XmlcliError):
    """One of the processes that train together has ended, or cannot be reached."""


class TrainingError(XmlcliError):
    """A training that cannot go on."""
