"""Sentences and tables made from rows."""
