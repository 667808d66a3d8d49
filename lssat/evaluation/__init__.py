"""Scores of predictions and what may be said of them. NumPy, SciPy and scikit-learn only."""
