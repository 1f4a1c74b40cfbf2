"""Synthetic collections: the embedded `demo`, and generated ones of any size."""
