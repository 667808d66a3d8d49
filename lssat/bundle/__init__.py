"""The winner as a folder, a bundle: exported, opened, scored, asked."""
