"""Prepared copies of frames that a model would refuse or take otherwise than a viewer does.

``recipes`` says what has to be done, ``painting`` does it to pixels, ``copies`` keeps the files,
``pairing`` brings it to the frames of a row. The originals are never touched. This room knows
images and one folder; it refuses to know manifests and the table.
"""

from tweenbatch.fitting.copies import MAX_ORIGINAL_BYTES
from tweenbatch.fitting.pairing import Fit, Fitting
from tweenbatch.fitting.recipes import Way

__all__ = ["MAX_ORIGINAL_BYTES", "Fit", "Fitting", "Way"]
