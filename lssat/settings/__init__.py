"""The sections of the config tree: which settings there are, with default, bounds and meaning."""
