"""A source -> a prepared data set: images are opened, faces cut out, splits audited."""
