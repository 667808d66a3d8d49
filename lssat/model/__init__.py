"""Encoder, decoder and head; which timm architecture is meant; pretrained weights."""
