"""Terminal chat, web demo and OpenAI-compatible API; no model code here."""
