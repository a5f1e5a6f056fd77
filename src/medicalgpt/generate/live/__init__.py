"""One batch that requests join and leave while it runs."""
