"""The guardian: a process beside the run that ends its servers if the run cannot."""
