"""One training run: loop, step, losses, optimiser, checkpoints. Plain torch."""
