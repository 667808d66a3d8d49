"""Sections with pictures of faces: what was rebuilt, what was mistaken, whose labels are doubtful."""
