"""Answers of a winner about files: which files, what is written, and how it goes on after a kill."""
