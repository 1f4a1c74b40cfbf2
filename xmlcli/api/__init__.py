"""The Python API: `fit` and the scikit-learn estimator."""
