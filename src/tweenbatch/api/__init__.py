"""The application: what the command line and Python programs call.

A run has four steps. ``preparation.prepare`` reads the manifests and holds them against the table;
``preparation.check`` asks fal for today's prices; somebody agrees; ``execution.execute`` submits.
Nothing is spent before the last. ``programs`` joins these steps for Python programs. This package
refuses to know terminals and option parsers.
"""
