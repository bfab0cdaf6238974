"""Fit frames to a model (``--fit``): make corrected copies and never change the originals.

It does not know manifests or the job table.
"""

from tweenbatch.frames.fit.copies import MAX_ORIGINAL_BYTES
from tweenbatch.frames.fit.fitting import Fit, Fitting
from tweenbatch.frames.fit.recipe import Way

__all__ = ["MAX_ORIGINAL_BYTES", "Fit", "Fitting", "Way"]
