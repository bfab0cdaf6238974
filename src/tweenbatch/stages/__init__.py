"""The stages of a job: each takes a job and returns an ``Outcome``.

They do not know the job table, the runner or the next stage.
"""
