"""Where checkpoints, prepared data and results are kept: a folder that this machine mounts, or objects at a URL."""
