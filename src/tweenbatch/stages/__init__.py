"""What is done to a job, one stage a module.

A stage takes a job and returns an ``Outcome``. It never touches the table and never calls
the next stage.
"""
