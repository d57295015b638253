"""The model behind ``synthetic_dives``: which dives there are, how they move, how they look, how they are judged."""
