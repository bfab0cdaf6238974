"""Read manifest files of every format into sheets of text cells. It does not check values.

A new format: a module here that returns a ``Sheet``, its suffix and first bytes in ``source``, and
its loader in ``manifest.reading``.
"""
