"""Reports for auditors: facts of a period, each with a link to the events it stands for."""
