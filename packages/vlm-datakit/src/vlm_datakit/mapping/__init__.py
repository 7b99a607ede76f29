"""Any row layout onto the columns that a format parses: by flag or by file, with named steps."""
