"""Inspect frames: format, size, pixels, warnings, cache. It does not know rows or manifests."""
