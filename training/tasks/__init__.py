"""The tasks, one folder each, their registry, and the trainer that they share."""
