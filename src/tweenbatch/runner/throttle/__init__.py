"""The throttle of a run: how many requests run at once, and what pauses or stops submissions.

It does not know the job table.
"""
