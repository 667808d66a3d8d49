"""Data sets by name, each as its owners lay it out."""
