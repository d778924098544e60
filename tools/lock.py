"""Pin what the course resolves to: constraints.txt, environment.yml and binder/environment.yml.

    python3 -m tools.lock              keep the pins there are, and add what is new
    python3 -m tools.lock --upgrade    renew every pin

The resolver is uv, in a throwaway environment: its universal mode gives one list of pins for
every Python from 3.11 and for Linux, macOS and Windows.
"""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from tools.install import CONSTRAINTS, ROOT, TORCH_INDEX, pins, python_of

ENVIRONMENTS = [ROOT / "environment.yml", ROOT / "binder" / "environment.yml"]
MADE_BY = "# Made by `make lock` from pyproject.toml. Change that instead, and run it again.\n"
ENVIRONMENT = """\
name: attention-course
channels:
  - conda-forge
  - nodefaults
dependencies:
  - python=3.11
  - pip
  - pip:
      - --extra-index-url {index}
"""


def write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def lock(flags: list[str]) -> None:
    """Resolve and write the three files."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = str(python_of(Path(folder)))
        subprocess.run([python, "-m", "pip", "install", "--quiet", "uv"], check=True)
        resolve = [python, "-m", "uv", "pip", "compile", "--universal", "--python-version", "3.11"]
        resolve += ["--quiet", "--no-header", "--no-annotate", "pyproject.toml"]
        output = ["--output-file", str(CONSTRAINTS)]
        subprocess.run([*resolve, "--all-extras", *output, *flags], check=True, cwd=ROOT)
        write(CONSTRAINTS, MADE_BY + CONSTRAINTS.read_text(encoding="utf-8"))

        # CPU torch needs none of the CUDA packages that the constraints pin for GPU machines.
        cuda = Path(folder, "cuda.txt")
        unneeded = [name for name in pins() if name.startswith(("cuda-", "nvidia-", "triton"))]
        write(cuda, "\n".join(unneeded))
        without_extras = [*resolve, "--constraints", str(CONSTRAINTS), "--excludes", str(cuda)]
        result = subprocess.run(
            without_extras, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
    packages = "".join(f"      - {line}\n" for line in result.stdout.splitlines())
    for path in ENVIRONMENTS:
        write(path, MADE_BY + ENVIRONMENT.format(index=TORCH_INDEX) + packages)


if __name__ == "__main__":
    lock(sys.argv[1:])
