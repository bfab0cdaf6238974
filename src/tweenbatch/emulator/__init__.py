"""A loopback server with fal's API, scripted faults and a ledger.

It does not know the job table or the runner. The rest of the program imports only ``process``,
which starts the server as a child process for a rehearsal.
"""
