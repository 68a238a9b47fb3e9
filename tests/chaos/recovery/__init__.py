"""How long recovery takes, over several runs."""
