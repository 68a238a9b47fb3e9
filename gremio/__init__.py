"""What the guild's apps share: below the apps and above the engine."""
