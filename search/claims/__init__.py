"""What may be said of scores. Pure: no Ray, no torch, no files."""
