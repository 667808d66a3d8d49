"""The run folder: the only room that knows what lies in it and under which names."""
