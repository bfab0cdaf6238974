"""The emulator's HTTP handlers, one module for each of fal's services.

They do not know how a clip is drawn.
"""
