"""Where pipeline files lie: in `pipelines/` of the current folder, or else among those shipped with the program."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xmlcli.errors import ConfigError

HERE = Path("pipelines")
DEFAULT = "default"


def shipped_folder() -> Path:
    """Return the folder of the program's own pipelines: of a wheel inside the package, of a checkout beside it."""
    package = Path(__file__).resolve().parents[1]
    inside = package / HERE
    return inside if inside.is_dir() else package.parent / HERE


def shipped_default() -> Path:
    """Return the program's own default pipeline, whatever the current folder holds."""
    return shipped_folder() / f"{DEFAULT}.yaml"


def find_pipeline(dataset_name: str, profile: str | None = None) -> Path:
    """Return the pipeline file of a run: its profile's, else the dataset's own, else the default one.

    A file of the current folder is a relative path, one of the program's own an absolute one. Raises ConfigError where
    there is no pipeline of the profile's name.
    """
    return _first_of([profile] if profile else [dataset_name, DEFAULT])


def find_base(name: str, wanted_by: Path) -> Path:
    """Return the pipeline file called `name`, which `wanted_by` builds on. Raises ConfigError where there is none."""
    return _first_of([name], wanted_by)


def _first_of(names: Sequence[str], wanted_by: Path | None = None) -> Path:
    """Return the first pipeline there is of these names; the current folder's comes before the program's own."""
    folders = (HERE, shipped_folder())
    for name in names:
        for folder in folders:
            if (path := folder / f"{name}.yaml").is_file():
                return path
    known = sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})
    looked = f"looked in {' and '.join(dict.fromkeys(str(folder) for folder in folders))}"
    raise ConfigError(
        f"there is no pipeline called {names[-1]!r}",
        where=f"base of {wanted_by}, {looked}" if wanted_by else looked,
        expected=f"one of {', '.join(known)}" if known else None,
        remedy=f"write {HERE / f'{names[-1]}.yaml'}",
    )
