"""Photos held in memory, the simulators that degrade them, and real pairs."""
