"""What is known of the trials of a study while it is searched, in memory."""
