"""The OpenAI-compatible API: requests come in here, answers come from `generate.live.BatchingEngine`."""
