"""Who may connect: addresses, connections, API keys, and what the servers write into the log. No model code, no web framework."""
