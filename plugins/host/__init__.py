"""The host: what is common to all plugins, namely reading and writing pictures, running, the run record."""
