"""Certificates: bounds on what any use of a code can reveal."""
