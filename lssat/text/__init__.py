"""Text for people: tables, durations, near misses, and what a screen or a file can be given."""
