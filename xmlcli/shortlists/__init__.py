"""Phase 2: shortlists of labels, by nearest-neighbour search."""
