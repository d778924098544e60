"""In a notebook, a missing name is told with the cell that makes it.

Cells that are run out of order end in `NameError: name 'model' is not defined`.  Here the error
gets a note: which cell makes the name, and how to run it.  JupyterLab and VS Code tell a kernel
the notebook that it belongs to; elsewhere the note is shorter.
"""

import json
import os
import re
import symtable
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

NO_NOTEBOOK = "If a cell further up makes `{name}`, run that cell first."
FIRST = "`{name}` is made{section} in the cell that begins with `{start}`. Run that cell first."
RUN_ABOVE = " In JupyterLab, Run → Run All Above Selected Cell runs it, and all that it needs."


def tell_missing_names() -> None:
    """From now on a `NameError` of this notebook has such a note; outside a notebook, nothing."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell and not shell.custom_exceptions:
        shell.set_custom_exc((NameError,), _show)


def _show(
    shell: Any,
    kind: type[NameError],
    error: NameError,
    traceback: TracebackType,
    tb_offset: int | None = None,
) -> None:
    place = traceback
    while place.tb_next:
        place = place.tb_next
    in_a_cell = place.tb_frame.f_globals is shell.user_ns
    if error.name and in_a_cell:
        with suppress(OSError, ValueError, KeyError):  # a notebook that cannot be read
            if note := advice(error.name, *_running(shell)):
                error.add_note(note)
    shell.showtraceback((kind, error, traceback), tb_offset=tb_offset)


def _running(shell: Any) -> tuple[Path | None, str]:
    """The notebook that a kernel belongs to, and the source of the cell that it runs."""
    path = shell.user_ns.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME", "")
    known = path.endswith(".ipynb") and os.path.isfile(path)
    return Path(path) if known else None, shell.history_manager.input_hist_raw[-1]


def advice(name: str, notebook: Path | None, running: str) -> str:
    """What to do about a missing name, in a sentence; empty where no cell makes it.

    Args:
        name: the name that was not found.
        notebook: the notebook as it was last saved, if it is known.
        running: the source of the cell that looked for the name.
    """
    if notebook is None:
        return NO_NOTEBOOK.format(name=name)
    section, sections, sources = "", [], []
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            sections.append(section)
            sources.append(source)
        elif heading := re.search(r"(?m)^## (.*)", source):
            section = f" under “{heading[1]}”,"
    here = sources.index(running) if running in sources else 0
    makers = [n for n, source in enumerate(sources) if source != running and name in _makes(source)]
    if not makers:
        return ""
    above = [n for n in makers if n < here]
    place = (above or makers)[-1 if above else 0]
    start = sources[place].lstrip().partition("\n")[0]
    advice = FIRST.format(name=name, section=sections[place], start=start)
    return advice + (RUN_ABOVE if above else "")


def _makes(source: str) -> set[str]:
    """The names that a cell assigns, defines or imports."""
    lines = [line for line in source.splitlines() if not line.lstrip().startswith(("%", "!"))]
    with suppress(SyntaxError):
        symbols = symtable.symtable("\n".join(lines), "cell", "exec").get_symbols()
        return {made.get_name() for made in symbols if made.is_assigned() or made.is_imported()}
    return set()
