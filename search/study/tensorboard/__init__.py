"""What TensorBoard shows of a study: curves and pictures of each run, and a table of all runs."""
