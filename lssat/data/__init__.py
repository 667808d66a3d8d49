"""From a data set on disk to the rows of a prepared one. Needs neither torch nor Ray."""
