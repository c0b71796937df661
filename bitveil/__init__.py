"""Representations that can be published: stochastic bits with known, certified leakage."""

__version__ = "0.1.0"
