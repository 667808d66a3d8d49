"""What a study will take, and what it took."""
