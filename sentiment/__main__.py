"""Lists the commands of this application: python -m sentiment."""

from pathlib import Path

import sentiment
from shared.commands import list_commands

if __name__ == "__main__":
    print(f"{sentiment.__doc__.strip()}\n\nCommands (each has --help):\n")
    print(list_commands(Path(sentiment.__file__).parent))
