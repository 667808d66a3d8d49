"""What is tried next, what is stopped, and when the search ends."""
