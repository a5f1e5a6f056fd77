"""A test of one's own, as a hospital would describe it."""

WARD = """
name: ward
title: Questions of our ward
license: ours
origin: the ward
language: en
group: hospital
"""
"""Its facts up to the group; what follows says where its questions stand, and how they are asked."""
