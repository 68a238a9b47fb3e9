"""Documentation of the declared events: the AsyncAPI document and a page for people."""
