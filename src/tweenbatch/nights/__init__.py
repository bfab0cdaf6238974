"""Scheduled work: job files, the inbox, digests, notifications and schedules. Submits nothing."""
