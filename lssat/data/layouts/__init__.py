"""Readers of data sets as their owners publish them: one file per layout, each with one public function `listing`."""
