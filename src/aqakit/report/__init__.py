"""From rows and predictions to tables and figures; knows nothing of models."""
