"""Deblurring: pre-reconstruction, motion guidance and one step of a linear diffusion transformer (GLOWDeblur)."""
