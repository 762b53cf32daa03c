"""Commands that measure speed and memory and print the tables."""
