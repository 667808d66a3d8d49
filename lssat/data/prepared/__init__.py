"""A prepared data set: Parquet shards, and their rows as batches."""
