"""The tables as numbered SQL files, forward only; consumers/migrate.py applies them."""
