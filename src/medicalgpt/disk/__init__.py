"""Folders and files as such: work in progress that no killed process leaves behind, words for a full disk, who may read."""
