"""Files: written atomically, in buckets, and safe for spreadsheets."""
