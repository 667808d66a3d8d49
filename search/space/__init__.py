"""What is searched: a YAML file -> a validated space. Imports neither torch, Ray, timm nor Optuna."""
