"""Loading by family, tree attention, chunked head, adapters, vocabulary extension, merging, quantising and export."""
