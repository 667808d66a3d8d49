"""The study: which backbone, with which settings, suits L-SSAT on a data set."""
