"""Pages: of results, and to drop photos on."""
