"""The state of the whole: what each part says, and which promises hold now."""
