"""The stages of a run. Each reads artifacts, calls algorithms and writes one artifact.

A stage is a module with `VERSION: int`, `SECTIONS: tuple[str, ...]` and `run(job) -> None`. `xmlcli.stages.job` says
what a job is, and shows a whole stage.
"""
