"""Words and their ids: `vocabulary`."""
