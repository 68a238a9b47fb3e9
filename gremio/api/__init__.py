"""What the APIs of the apps share: parsers of bodies, errors, and answers."""
