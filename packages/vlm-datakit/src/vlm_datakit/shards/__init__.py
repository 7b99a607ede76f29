"""Normalized shards: the contract with the trainer and with everybody else's readers."""
