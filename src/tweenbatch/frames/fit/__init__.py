"""Prepared copies of frames that a model would refuse or take otherwise than a viewer does.

``recipe`` says what has to be done, ``pixels`` does it to pixels, ``copies`` keeps the files,
``pairs`` brings it to the frames of a row. The originals are never touched. This room knows
images and one folder; it refuses to know manifests and the table.
"""

from tweenbatch.frames.fit.copies import MAX_ORIGINAL_BYTES
from tweenbatch.frames.fit.pairs import Fit, Fitting
from tweenbatch.frames.fit.recipe import Way

__all__ = ["MAX_ORIGINAL_BYTES", "Fit", "Fitting", "Way"]
