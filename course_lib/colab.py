"""Google Colab: install what the course lacks there, and leave the rest as it is.

Colab brings nearly everything that the course needs, and has some of it loaded before the first
cell runs: to exchange that would take a restart.  So pip installs only what is absent or too old,
and never another torch or numpy.  Colab shows custom widgets where it is asked to; anywidget asks.
"""

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

HELD = ("numpy", "torch")
ELSEWHERE = ("jupyterlab",)  # Colab has a page of its own


def prepare() -> None:
    """Install what is absent or too old.  Where nothing is, this takes seconds and no network.

    A package that was in use stays so until the session is restarted; if one had to be renewed, a
    line says so.

    Raises:
        SystemExit: pip failed.  The message, a sentence, is all that Colab shows of it.
    """
    before = versions()
    with TemporaryDirectory() as folder:
        held = Path(folder) / "held.txt"
        held.write_text(
            "".join(f"{name}=={metadata.version(name)}\n" for name in HELD), encoding="utf-8"
        )
        pip = [sys.executable, "-m", "pip", "install", "--constraint", str(held), *requirements()]
        done = subprocess.run(pip, capture_output=True, text=True)
    if done.returncode:
        reasons = re.findall(r"(?m)^ERROR: (.+?)\.?$", done.stderr) or ["pip stopped"]
        sys.exit(f"The course is not installed: {reasons[-1]}. Run this cell again in a minute.")
    after = versions()
    renewed = {name for name in before if after.get(name) != before[name]} & in_use()
    if renewed:
        print(
            f"Renewed while in use: {', '.join(sorted(renewed))}. "
            "Choose Runtime → Restart session, and run the notebook from the top."
        )


def requirements() -> list[str]:
    """What the course needs of other packages, such as "sacrebleu>=2.5", but not what stays."""
    stays = re.compile(rf"({'|'.join([*HELD, *ELSEWHERE])})\b(?!-)")
    lines = metadata.requires("course-lib") or []
    return [line for line in lines if "extra ==" not in line and not stays.match(line)]


def versions() -> dict[str, str]:
    """The version of every package that is installed."""
    return {package.name: package.version for package in metadata.distributions()}


def in_use() -> set[str]:
    """The packages that something was imported from."""
    return {
        package
        for module, packages in metadata.packages_distributions().items()
        if module in sys.modules
        for package in packages
    }
