"""Draws docs/overview.svg: three commands of the README and what they print.

python docs/overview.py
"""

import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
WIDTH = 100
COMMANDS = (
    "python -m captioning.predict",
    "python -m charlm.generate 'KING HENRY:' --num-chars 140 --seed 7",
    "python -m sentiment.predict --explain --color always 'The acting is wooden, but I loved the end.'",
)


def main() -> None:
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    for command in COMMANDS:
        words = [sys.executable, *shlex.split(command)[1:]]
        environment = {**os.environ, "COLUMNS": str(WIDTH)}
        done = subprocess.run(
            words, cwd=HERE.parent, env=environment, capture_output=True, text=True, check=True
        )
        console.print(Text(f"$ {command}", style="bold"))
        # Where packages are installed is nobody's business.
        console.print(Text.from_ansi(re.sub(r"\S*(?=skimage/)", "", done.stdout).rstrip()))
        console.print()
    svg = console.export_svg(title="unrolled")
    # A page that shows the picture loads nothing from elsewhere.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    (HERE / "overview.svg").write_text(
        "\n".join(line.rstrip() for line in svg.splitlines()) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
