"""A study that runs: data, Ray, trials, final stage, conclusion."""
