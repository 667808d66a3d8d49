"""Sections on classes and groups: which are found and which are not, whether probabilities mean what they say."""
