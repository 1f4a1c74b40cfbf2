"""Phase 1: label embeddings, trained by proxy."""
