"""What the tests read of the repository: its files, and the Python in them."""

import json
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def repository_files(*suffixes: str) -> list[Path]:
    """The files that are, or are about to be, in the repository."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True).stdout
    paths = [ROOT / name for name in names.decode().split("\0") if name]
    return [path for path in paths if path.is_file() and path.suffix in suffixes]


def python_sources() -> list[tuple[str, str]]:
    """Name and text of every Python file and of every code cell."""
    sources = [(path.name, path.read_text()) for path in repository_files(".py")]
    for path in repository_files(".ipynb"):
        for cell in json.loads(path.read_text())["cells"]:
            if cell["cell_type"] == "code":
                code = "".join(cell["source"])
                lines = [line for line in code.splitlines() if not line.lstrip().startswith("%")]
                sources.append((f"{path.name}, cell {cell['id']}", "\n".join(lines)))
    return sources
