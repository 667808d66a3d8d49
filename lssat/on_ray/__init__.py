"""The only room of the method that knows Ray: shards, workers, work spread over a cluster."""
