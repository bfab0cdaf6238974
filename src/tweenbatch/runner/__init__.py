"""One run: who works on which job, and who writes down what came of it."""
