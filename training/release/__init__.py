"""Release of trained models: model card, showcase pictures and upload to the hub."""
