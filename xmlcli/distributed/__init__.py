"""Several processes (ranks) that train one model."""
