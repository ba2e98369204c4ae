"""Photos: reading, encoders, features."""
