"""Stamp the repository's address, and the tag of its version, wherever a link needs them.

    python -m tools.links            write the links
    python -m tools.links --check    say what differs; exit status 1 if anything does
    python -m tools.links --hub https://hub.example.edu
                                     a link to each lesson, for a JupyterHub with nbgitpuller

Address and version are written in pyproject.toml.  From there they go

- into the passage `links` of each notebook's first cell and of README.md: a badge that opens the
  notebook on Colab, and one that opens it on Binder;
- into each notebook's first code cell, `<lesson>-colab`, which installs the course on Colab;
- into CITATION.cff, the version too.

These links lead to the tag of the version, such as `v0.1.0`: a notebook is opened with the library
that it was written for, and Binder builds its image once for each version.  nbgitpuller follows the
branch `main`, since it is there to bring corrections.
"""

import argparse
import re
import sys
import tomllib
from pathlib import Path
from posixpath import dirname, relpath
from typing import NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from tools import notebooks
from tools.regions import fill

ROOT = notebooks.ROOT
BRANCH = "main"
COLAB_CELL = """\
# On Google Colab this cell installs the course. Everywhere else it does nothing.
import importlib.util
import subprocess
import sys

if "google.colab" in sys.modules:
    course = "{address}"
    archive = f"{{course}}/archive/refs/tags/{tag}.zip"
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", archive]
    missing = importlib.util.find_spec("course_lib") is None
    if missing and subprocess.run(pip, capture_output=True).returncode:
        sys.exit("The course could not be downloaded. Run this cell again in a minute.")
    importlib.import_module("course_lib.colab").prepare()"""


class LinkError(Exception):
    """A link has no place; the message says where, in a sentence for the maintainer."""


class Repository(NamedTuple):
    """Where the course is published.  Notebooks are named by their path from the root."""

    address: str
    version: str

    @property
    def tag(self) -> str:
        return f"v{self.version}"

    @property
    def owner_and_name(self) -> str:
        return urlsplit(self.address).path.strip("/")

    def colab(self, notebook: str) -> str:
        """The link that opens a notebook on Colab."""
        place = f"{self.owner_and_name}/blob/{self.tag}/{notebook}"
        return f"https://colab.research.google.com/github/{place}"

    def colab_cell(self) -> str:
        return COLAB_CELL.format(address=self.address, tag=self.tag)

    def binder(self, notebook: str) -> str:
        """The link that opens a notebook in JupyterLab on Binder."""
        path = quote(f"lab/tree/{notebook}", safe="")
        return f"https://mybinder.org/v2/gh/{self.owner_and_name}/{self.tag}?urlpath={path}"

    def hub(self, hub: str, notebook: str) -> str:
        """The link that brings the course into a student's folder on a hub and opens a notebook."""
        folder = self.owner_and_name.split("/")[-1]
        path = f"lab/tree/{folder}/{notebook}"
        query = {"repo": self.address, "branch": BRANCH, "urlpath": path}
        encoded = urlencode(query, quote_via=quote, safe="")
        return f"{hub.rstrip('/')}/hub/user-redirect/git-pull?{encoded}"

    def badges(self, notebook: str, document: str) -> str:
        """The badges that open a notebook, as Markdown for a document at this path.

        They have a line of their own: Markdown takes one that begins with a comment for HTML.
        """
        folder = relpath("notebooks/badges", dirname(document) or ".")
        return (
            f"\n[![Open in Colab]({folder}/open-in-colab.svg)]({self.colab(notebook)})"
            f" [![Launch Binder]({folder}/launch-binder.svg)]({self.binder(notebook)})\n"
        )


def published() -> Repository:
    """Where the course is published, as pyproject.toml has it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return Repository(project["urls"]["Repository"].rstrip("/"), project["version"])


def lessons() -> list[str]:
    return sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("notebooks/*.ipynb"))


# What is stamped: a function for each kind of file, from its content to its content with the links.


def stamp_notebook(content: bytes, name: str, repository: Repository) -> bytes:
    notebook = notebooks.parse(content)
    title, id = notebook.cells[0], f"{notebooks.lesson_of(Path(name))}-colab"
    title.source = fill(title.source, "links", repository.badges(name, name))
    first = next((cell for cell in notebook.cells if cell.cell_type == "code"), None)
    if first is None or first.id != id:
        raise LinkError(f"its first code cell is not {id}; copy that cell from another lesson")
    first.source = repository.colab_cell()
    return notebooks.serialise(notebook)


def stamp_readme(content: bytes, name: str, repository: Repository) -> bytes:
    return fill(content.decode(), "links", repository.badges(lessons()[0], name)).encode()


def stamp_citation(content: bytes, name: str, repository: Repository) -> bytes:
    text = content.decode()
    lines = {"repository-code": f'"{repository.address}"', "version": repository.version}
    for field, value in lines.items():
        text, count = re.subn(rf"(?m)^({field}:).*$", rf"\1 {value}", text)
        if not count:
            raise LinkError(f"it has no line {field}")
    return text.encode()


STAMPS = {
    "notebooks/*.ipynb": stamp_notebook,
    "notebooks/solutions/*.ipynb": stamp_notebook,
    "README.md": stamp_readme,
    "CITATION.cff": stamp_citation,
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Stamp the links that need the address.")
    parser.add_argument("--check", action="store_true", help="write nothing, say what differs")
    parser.add_argument("--hub", metavar="ADDRESS", help="print links for a JupyterHub instead")
    options = parser.parse_args(arguments)
    repository = published()
    if options.hub:
        if not urlsplit(options.hub).netloc:
            parser.error(f"give the hub's whole address, such as https://{options.hub}")
        print("\n".join(repository.hub(options.hub, lesson) for lesson in lessons()))
        return 0
    found = []
    for pattern, stamp in STAMPS.items():
        for path in sorted(ROOT.glob(pattern)):
            name, content = path.relative_to(ROOT).as_posix(), path.read_bytes()
            try:
                stamped = stamp(content, name, repository)
            except (LinkError, ValueError, notebooks.NotebookError) as error:
                found.append(f"{name}: {error}")
                continue
            if stamped == content:
                continue
            if options.check:
                found.append(f"{name}: its links are out of date; run python -m tools.links")
            else:
                path.write_bytes(stamped)
                print(f"{name}: written")
    print("\n".join(found), end="\n" if found else "", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
