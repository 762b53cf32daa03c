"""Batched simulators of reflections, blur and the camera, which do not depend on `training`."""
