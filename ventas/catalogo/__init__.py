"""The catalogue over time: `historia` notes each change, `memoria` has what sales need of it."""
