"""The task dereflection: configuration, dataset, objectives, validation and model card."""
