"""Lists the commands of this application: python -m captioning."""

import captioning
from shared.commands import commands_script
from shared.system.cli import run_script

if __name__ == "__main__":
    raise SystemExit(run_script(lambda argv: commands_script(captioning)))
