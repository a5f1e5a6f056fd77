"""From raw files to a corpus with evidence: quality, personal data, duplicates, items of tests, held-out rows, mix."""
