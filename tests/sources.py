"""What the tests read of the repository: its files, and the Python in them."""

import json
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def repository_files(*suffixes: str) -> list[Path]:
    """The files that are, or are about to be, in the repository; of any suffix if none is given."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True).stdout
    paths = [ROOT / name for name in names.decode().split("\0") if name]
    return [path for path in paths if path.is_file() and path.suffix in (suffixes or [path.suffix])]


def notebook_code(path: Path) -> str:
    """All code cells of a notebook as one program, without IPython's own commands."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    lines = [
        line
        for cell in cells
        if cell["cell_type"] == "code"
        for line in "".join(cell["source"]).splitlines()
    ]
    return "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!")))


def python_sources() -> dict[str, str]:
    """The text of every Python file and of every notebook's code, by its path."""
    texts = {path: path.read_text(encoding="utf-8") for path in repository_files(".py")}
    texts |= {path: notebook_code(path) for path in repository_files(".ipynb")}
    return {path.relative_to(ROOT).as_posix(): text for path, text in texts.items()}
