"""Prints the lowest versions that pyproject.toml admits, as constraints for pip: python .ci/lowest.py.

Packages that pyproject.toml does not name get the version that pip chooses.
"""

import itertools
import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
for requirement in itertools.chain(project["dependencies"], *project["optional-dependencies"].values()):
    if bound := re.fullmatch(r"([\w-]+)>=([\w.]+)(,.*)?", requirement):
        print(f"{bound[1]}=={bound[2]}")
