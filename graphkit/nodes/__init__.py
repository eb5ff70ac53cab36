"""Attributed graphs: nodes with features and labels, what is computed of them before training, and their splits."""
