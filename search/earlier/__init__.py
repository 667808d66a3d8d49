"""What earlier studies tell a new one, and whether it holds there."""
