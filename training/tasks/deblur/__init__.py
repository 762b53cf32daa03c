"""The task deblur: configuration, dataset, objective, validation and model card."""
