"""A network that finds faces: its file, and what reads its answers."""
