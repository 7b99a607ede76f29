"""Where rows go that are not shards: JSON lines, and the ledger of refused rows."""
