"""What the host does once, for every plugin: pictures, options, forms, running, the run record."""
