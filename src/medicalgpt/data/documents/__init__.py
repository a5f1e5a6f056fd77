"""Text out of documents that programs for people write: Word, PDF, web pages, XML. Parsed in a process of its own, within bounds."""
