"""Containers walked to their end: what makes a file whole, one module a format."""
