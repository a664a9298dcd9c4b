"""The rules of the trade against the worked examples and a slow reference."""
