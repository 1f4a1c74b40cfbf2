"""Runs: which stage calls make one, which of them are current, running the rest, and what came of it."""
