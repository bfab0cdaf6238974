"""Readers of manifest files: bytes of any format become a sheet of cells. They judge no values."""
