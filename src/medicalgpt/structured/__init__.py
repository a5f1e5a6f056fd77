"""Answers that keep a JSON schema: tokens that would break it are never drawn (llguidance, ADR 012)."""
