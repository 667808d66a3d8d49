"""Synthetic faces, rendered from a seed."""
