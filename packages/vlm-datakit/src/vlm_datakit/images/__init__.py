"""Pictures: classified, decoded, measured, made canonical. Pixels are opened once."""
