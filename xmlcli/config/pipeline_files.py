"""Where pipeline files lie: in `pipelines/` of the current folder, or else among those that come with the program."""

from __future__ import annotations

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
    folders = (HERE, shipped_folder())
    for name in (profile,) if profile else (dataset_name, DEFAULT):
        for folder in folders:
            if (path := folder / f"{name}.yaml").is_file():
                return path
    known = sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})
    raise ConfigError(
        f"there is no pipeline called {profile or DEFAULT!r}",
        where=f"looked in {' and '.join(dict.fromkeys(str(folder) for folder in folders))}",
        expected=f"one of {', '.join(known)}" if known else None,
        remedy=f"write {HERE / f'{profile or DEFAULT}.yaml'}",
    )
