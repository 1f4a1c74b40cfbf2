"""Phase 3: the final classifiers, trained on positives and shortlisted negatives."""
