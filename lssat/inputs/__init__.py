"""Tensors in, tensors out: augmentation, texture, masks and targets. No model."""
