"""Retraining from the page: for the owner of a copy of this app, with LIMPID_RETRAIN=1.

The work is done by the commands of the package `training`, in processes of their own; nothing of it is imported.
"""
