"""Data sets on the Hugging Face Hub: their names, what is in them, and their files."""
