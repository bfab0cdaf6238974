"""Batch runner for first-frame/last-frame video generation: every clip paid once."""

__version__ = "0.1.0"
