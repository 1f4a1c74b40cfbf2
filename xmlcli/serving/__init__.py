"""The model as it is exported, loaded and asked."""
