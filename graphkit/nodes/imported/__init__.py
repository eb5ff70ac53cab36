"""A user's own graph: files read as tables, made one graph, and the store that it is kept in and opened from."""
