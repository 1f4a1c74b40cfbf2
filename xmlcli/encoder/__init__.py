"""The document encoder f(x): for training in torch, for prediction in NumPy."""
