"""The only folder of the method that knows Ray: shards, workers, work spread over a cluster."""
