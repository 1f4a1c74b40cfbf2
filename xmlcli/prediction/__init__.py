"""From a shortlist to scores, from scores to one score, from that to a ranking with probabilities."""
