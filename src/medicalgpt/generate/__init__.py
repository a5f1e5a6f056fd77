"""The only place that samples tokens: one engine, several backends."""
