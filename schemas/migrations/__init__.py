"""The tables, made and changed by numbered SQL files, forward only; consumers/migrate.py runs them."""
