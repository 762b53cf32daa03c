"""Evaluation of pipelines: protocols, metrics, baselines, reports and contact sheets."""
