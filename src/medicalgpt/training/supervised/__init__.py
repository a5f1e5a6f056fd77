"""Training on rows that are known beforehand: text, dialogues, preferences."""
