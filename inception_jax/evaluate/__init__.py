"""Evaluation: exact top-1, top-5 and loss."""
