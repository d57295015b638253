"""Numbers that judge predicted distributions against true scores."""
