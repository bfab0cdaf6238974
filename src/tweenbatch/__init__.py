"""Batch runner for first-frame/last-frame video generation: every clip paid once."""

__version__ = "0.3.0"
