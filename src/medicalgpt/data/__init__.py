"""Records (what a sample is), formats (one small file per source shape) and curation of input rows."""
