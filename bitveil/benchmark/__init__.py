"""The benchmark: methods, data sets and one strict protocol; every figure from flat records."""
