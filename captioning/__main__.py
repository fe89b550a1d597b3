"""Lists the commands of this application: python -m captioning."""

from pathlib import Path

import captioning
from shared.commands import list_commands

if __name__ == "__main__":
    print(f"{captioning.__doc__.strip()}\n\nCommands (each has --help):\n")
    print(list_commands(Path(captioning.__file__).parent))
