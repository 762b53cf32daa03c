"""Ablations, sweeps and studies that compare variants of training and of models."""
