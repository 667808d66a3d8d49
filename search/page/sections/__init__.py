"""The sections of the page, one question each. A section that has nothing to say is None."""
