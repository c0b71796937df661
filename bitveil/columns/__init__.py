"""Columns: from the values in a person's table to numbers, and back."""
