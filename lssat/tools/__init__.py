"""Generators and surveys, run by hand: `python -m lssat.tools.<name>`. Nothing imports them."""
