"""Every layout of a data set on disk -> a listing of its entries and rejects. Nothing is opened, nothing is renamed."""
