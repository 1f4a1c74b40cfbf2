"""Datasets: the catalogue of published ones, readers of their file layouts, and the embedded `demo`."""
