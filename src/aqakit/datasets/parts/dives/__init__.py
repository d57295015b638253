"""The model behind ``synthetic_dives``: the catalogue of dives, their motion, appearance and judging."""
