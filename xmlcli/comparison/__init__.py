"""Comparisons of rankings of the same documents: differences, how sure they are, and where they come from."""
