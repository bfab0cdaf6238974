"""What people and programs read: texts, counts and the results file."""
