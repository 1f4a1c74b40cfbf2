"""Bytes on disk: files, artifacts and where they lie."""
