"""The guide that says what a photo shows."""
