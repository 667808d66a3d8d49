"""A procedural renderer of synthetic faces whose traits, expression and landmarks are known."""
