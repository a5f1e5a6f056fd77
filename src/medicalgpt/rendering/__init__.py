"""Chat templates, token trees with verified loss weights, packing and the token cache."""
