"""Lists the commands of this application: python -m charlm."""

from pathlib import Path

import charlm
from shared.commands import list_commands

if __name__ == "__main__":
    print(f"{charlm.__doc__.strip()}\n\nCommands (each has --help):\n")
    print(list_commands(Path(charlm.__file__).parent))
