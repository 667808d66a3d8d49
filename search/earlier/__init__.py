"""What earlier studies tell a new one (`--from`): which of their trials lie in its space, and whether they hold there."""
