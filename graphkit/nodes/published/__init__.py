"""Graphs that others published, by name: the catalogue, readers of their files, and downloads."""
