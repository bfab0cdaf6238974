"""One module for each command of the command line: its options, its steps, its exit code."""
