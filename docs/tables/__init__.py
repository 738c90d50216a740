"""The tables of the pages, each a function that returns Markdown."""
