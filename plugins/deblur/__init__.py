"""Removal of blur from one photo: camera shake, motion, defocus."""
