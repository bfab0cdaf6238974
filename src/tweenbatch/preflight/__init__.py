"""What should be known of frames, pairs and rows before anything is paid for them.

``pictures`` looks into one image, ``concerns`` says what is to be said of it and of a pair,
``repeats`` finds rows that are all but the same, ``gathering`` brings it all back to the rows.
This room looks at images and texts; it refuses to know files of rows, the table and money, and
it changes nothing.
"""

from tweenbatch.preflight.concerns import is_hint
from tweenbatch.preflight.gathering import Preflight
from tweenbatch.preflight.pictures import Look

__all__ = ["Look", "Preflight", "is_hint"]
