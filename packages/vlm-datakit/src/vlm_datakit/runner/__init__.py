"""Runs a plan: slices, receipts, commit. Rows never cross a process border."""
