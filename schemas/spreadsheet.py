"""What a spreadsheet takes for a formula, and how a cell of a CSV is kept from being one.

One rule for pages, the command line and exports: the pattern means the same to Python and to the
store, which writes the cells of an export itself.
"""

import re
from typing import Final

# Leading blanks are trimmed by some imports, and full-width signs are read as theirs by some.
_BLANKS: Final = " \v\f\u00a0\ufeff"
_SIGNS: Final = "=+@\uff1d\uff0b\uff20\uff0d-"
FORMULA: Final = f"^[\t\n\r]|^[{_BLANKS}]*[{_SIGNS}]"
_FORMULA: Final = re.compile(FORMULA)


def defused(text: str) -> str:
    """Return the text so that a spreadsheet shows it instead of running it."""
    return f"'{text}" if _FORMULA.match(text) else text
