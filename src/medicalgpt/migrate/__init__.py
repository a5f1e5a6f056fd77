"""Configurations and scripts of other toolkits, read into ours."""
