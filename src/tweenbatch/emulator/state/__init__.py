"""What the emulator remembers: requests, files and the ledger that judges the tests."""
