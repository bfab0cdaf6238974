"""Read manifest files of every format into sheets of text cells. It does not check values."""
