"""Where rows come from: files cut into slices, or a pipe."""
