"""What a study will take, before anything is launched; and what it took."""
