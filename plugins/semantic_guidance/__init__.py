"""The guide that tags what a photo shows."""
