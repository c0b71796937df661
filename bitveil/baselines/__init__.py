"""Methods that others published, and the paper, in one form: fit, then transform."""
