"""The HTTP surface of the emulator, one module for each of fal's services."""
