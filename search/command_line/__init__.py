"""What `python search/run.py` can be told, and the space that it is told to search."""
