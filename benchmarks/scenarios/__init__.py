"""What is measured: one module for each question, with the promise that it answers to."""
