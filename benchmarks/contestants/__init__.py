"""Who is measured: one module for each way to do a job, and one function for each client."""
