"""Reports what a source of data holds: python -m sentiment.data SOURCE."""

from sentiment.data.report import main
from shared.system.cli import run_script

if __name__ == "__main__":
    raise SystemExit(run_script(main))
