"""The task semantics: configuration, dataset, objective, validation, evaluation and model card."""
