"""SQL for analysts: what may be asked, how a statement is judged, and how it is run."""
