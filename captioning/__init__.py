"""What two or more of the five scripts need, one subject a file."""
