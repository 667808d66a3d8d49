"""What a study found, as tables, screen and picture. Reads the disk through `search.record` alone."""
