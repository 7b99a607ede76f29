"""Pictures named by URL: judged, fetched within bounds, kept on the disk, read in order."""
