"""What the browser tests share: a JupyterLab over notebooks of their own, and a browser window.

A test module that wants them has a fixture `notebooks`, a folder with at least one notebook, and
for `page` the name of one, NOTEBOOK.
"""

import pytest

from tools.lab_session import LabSession, run_all


@pytest.fixture(scope="module")
def lab(notebooks, tmp_path_factory):
    """JupyterLab over the module's notebooks."""
    with LabSession(notebooks, tmp_path_factory.mktemp("scratch")) as lab:
        yield lab


@pytest.fixture(scope="module")
def context(browser):
    """One browser window; errors and dialogs of its pages are kept in `said`."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    context.said = []
    context.on("weberror", lambda error: context.said.append(str(error.error)))
    context.on("dialog", lambda dialog: (context.said.append("dialog!"), dialog.dismiss()))
    yield context
    context.close()


@pytest.fixture(scope="module")
def page(lab, context, request):
    """The module's NOTEBOOK after Run All."""
    page = context.new_page()
    lab.open(page, request.module.NOTEBOOK)
    run_all(page)
    return page
