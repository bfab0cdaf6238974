"""The application, for the command line and for Python programs.

A run has four steps. ``preparation.prepare`` reads the manifests and compares them with the job
table; ``preparation.check`` asks fal for today's prices; the user agrees; ``execution.execute``
submits. Only the last step spends money. ``programs`` joins them for Python programs. It does not
know terminals or option parsers.
"""
