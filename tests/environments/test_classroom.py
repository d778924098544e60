"""A class on JupyterHub: two students log in at once and follow the link to lesson 08.

Everything listens on loopback.  The students' servers are processes of one user, so nothing here
keeps one student from another: a real hub gives each a container or an account.
"""

import contextlib
import json
import secrets
import shutil
import subprocess
import sys
import threading
from functools import partial

import nbformat
import psutil
import pytest
from machine import PATIENCE, answers, family, free_port, listening_on, memory, serving

from tools import links
from tools.lab_session import SETTINGS, choose, run_all
from tools.notebooks import SAME_EVERYWHERE

PROXY = "configurable-http-proxy@5.3.0"
COURSE = "attention-course"
LESSON = "notebooks/08_self_attention.ipynb"
STUDENTS = ["ada", "alan"]
ANSWER = "  # mine"
CORRECTION = "\n\nCorrected in term."


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("class")


@pytest.fixture(scope="module")
def proxy(folder, missing):
    """The program that stands before the hub, from npm."""
    npm = shutil.which("npm") or missing("no npm on this machine, and JupyterHub's proxy needs it")
    install = [npm, "install", "--silent", "--no-save", "--ignore-scripts", f"--prefix={folder}"]
    subprocess.run([*install, PROXY], check=True)
    return folder / "node_modules" / ".bin" / "configurable-http-proxy"


@pytest.fixture(scope="module")
def address(clone, folder):
    """Where students get the course: a git server."""
    published = shutil.copytree(clone, folder / "published" / COURSE)
    branch = ["git", "-C", published, "checkout", "--quiet", "-B", links.BRANCH]
    subprocess.run(branch, check=True)
    git = subprocess.run(["git", "--exec-path"], check=True, capture_output=True, text=True)
    daemon = [f"{git.stdout.strip()}/git-daemon", "--export-all", "--listen=127.0.0.1"]
    port = free_port()
    address = f"git://127.0.0.1:{port}/{COURSE}"
    command = [*daemon, f"--port={port}", f"--base-path={folder / 'published'}"]
    ask = ["git", "ls-remote", address]

    def is_up():
        return subprocess.run(ask, capture_output=True).returncode == 0

    with serving(command, is_up, folder / "git.log"):
        yield address


@pytest.fixture(scope="module")
def hub(proxy, folder):
    """The address of a running JupyterHub, its process, and its students' password."""
    for name, values in SETTINGS.items():
        file = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    port, hub_port, proxy_port, password = *(free_port() for _ in range(3)), secrets.token_hex()
    configuration = {
        "JupyterHub": {
            "bind_url": f"http://127.0.0.1:{port}",
            "hub_bind_url": f"http://127.0.0.1:{hub_port}",
            "db_url": f"sqlite:///{folder}/hub.sqlite",
            "cookie_secret_file": f"{folder}/cookie_secret",
            "authenticator_class": "shared-password",
            "spawner_class": "simple",
        },
        "ConfigurableHTTPProxy": {
            "command": [str(proxy)],
            "api_url": f"http://127.0.0.1:{proxy_port}",
            "pid_file": f"{folder}/proxy.pid",
        },
        "SharedPasswordAuthenticator": {"user_password": password, "allow_all": True},
        "SimpleLocalProcessSpawner": {"home_dir_template": f"{folder}/homes/{{username}}"},
        "Spawner": {
            "cmd": [sys.executable, "-m", "jupyterhub.singleuser", "--allow-root"],
            "default_url": "/lab",
            "environment": {
                **SAME_EVERYWHERE,
                "JUPYTERLAB_SETTINGS_DIR": f"{folder}/settings",
                "OMP_NUM_THREADS": "1",  # else the students' threads wait for each other
            },
            "start_timeout": PATIENCE,
            "http_timeout": PATIENCE,
        },
    }
    file = folder / "hub.json"
    file.write_text(json.dumps(configuration))
    command = [sys.executable, "-m", "jupyterhub", f"--config={file}"]
    address = f"http://127.0.0.1:{port}"
    with serving(command, partial(answers, f"{address}/hub/health"), folder / "hub.log") as server:
        yield address, server, password
        everyone = family(server)
    _, left = psutil.wait_procs(everyone, timeout=60)
    for process in left:
        process.kill()
    assert left == []


def servers(hub):
    """The students' servers, by the student's name."""
    found = {}
    for process in hub.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if "jupyterhub.singleuser" in process.cmdline():
                found[process.environ()["JUPYTERHUB_USER"]] = process
    return found


@contextlib.contextmanager
def watching(server):
    """A list that grows by what a student's processes hold, twice a second."""
    seen, ended = [], threading.Event()

    def watch():
        while not ended.wait(0.5):
            seen.append(memory(family(server)))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def window(browser):
    """A page in a window of its own, which keeps its cookies from the others."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    context.set_default_timeout(PATIENCE * 1000)
    context.set_default_navigation_timeout(PATIENCE * 1000)
    return context.new_page()


def log_in(pages, address, password):
    """Log in all students, none waiting for another, and wait for their JupyterLabs."""
    for student, page in pages.items():
        page.goto(f"{address}/hub/login")
        page.get_by_label("Username").fill(student)
        page.get_by_label("Password").fill(password)
    for page in pages.values():
        page.get_by_role("button", name="Sign in").click(no_wait_after=True)
    for page in pages.values():
        page.wait_for_selector(".jp-Launcher")


def follow(link, pages):
    """Follow a link in every page, and wait for the lesson and its kernel."""
    for page in pages:
        page.goto(link, wait_until="commit")
    for page in pages:
        page.wait_for_selector(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell")
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()


def answer(page):
    """Write something into the cell 08-three-words and save."""
    page.locator(".jp-CodeCell .cm-content", has_text='words = ["muddy"').click()
    page.keyboard.press("Control+End")
    page.keyboard.type(ANSWER)
    page.locator(".lm-TabBar-tab.jp-mod-dirty").wait_for()
    choose(page, "File", "Save Notebook")
    page.locator(".lm-TabBar-tab.jp-mod-dirty").wait_for(state="detached")


def correct(course):
    """What an instructor does in term: a sentence more in the lesson, committed."""
    notebook = nbformat.read(course / LESSON, as_version=4)
    notebook.cells[0].source += CORRECTION
    nbformat.write(notebook, course / LESSON)
    me = ["-c", "user.name=Instructor", "-c", "user.email=instructor@example.org"]
    commit = ["git", "-C", course, *me, "commit", "--quiet", "--all", "--message=A correction"]
    subprocess.run(commit, check=True)


def sources(course):
    """What the lesson's cells say in a copy of the course, by their ids."""
    cells = nbformat.read(course / LESSON, as_version=4).cells
    return {cell.id: cell.source for cell in cells}


def test_two_students_work_on_a_hub(hub, address, browser, folder, screenshots, tell):
    hub_address, hub_process, password = hub
    published = folder / "published" / COURSE
    hers, his = (folder / "homes" / student / COURSE for student in STUDENTS)
    pages = {student: window(browser) for student in STUDENTS}
    page, figures = pages["ada"], {}

    log_in(pages, hub_address, password)
    assert set(servers(hub_process)) == set(STUDENTS)
    server = servers(hub_process)["ada"]
    figures["her server alone"] = memory(family(server))

    link = links.published()._replace(address=address).hub(hub_address, LESSON)
    follow(link, pages.values())
    figures["lesson 08 open, its kernel idle"] = memory(family(server))

    with watching(server) as seen:
        run_all(page, timeout=4 * PATIENCE)
    explorer = page.locator(".explorer:not(.explorer-copy)").first
    explorer.scroll_into_view_if_needed()
    explorer.get_by_label("Your sentence").wait_for()
    page.screenshot(path=screenshots / "jupyterhub.png")
    figures["lesson 08 running, at most"] = max(seen)
    figures["lesson 08 run to its end"] = memory(family(server))
    assert listening_on(family(hub_process)) == {"127.0.0.1"}

    before = sources(published)
    answer(page)
    assert sources(his) == before
    assert sources(hers) == {**before, "08-three-words": before["08-three-words"] + ANSWER}

    correct(published)
    follow(link, [page])
    page.get_by_text(CORRECTION.strip()).wait_for()
    assert sources(hers)["08-three-words"] == before["08-three-words"] + ANSWER
    assert sources(hers)["08-title"] == before["08-title"] + CORRECTION

    for when, (shared, own) in figures.items():
        tell(f"one of two students, {when}: {shared / 1e6:.0f} MB, her own {own / 1e6:.0f} MB")
    proxy = [one for one in hub_process.children() if one.name().startswith("node")]
    tell(f"the hub and its proxy: {memory([hub_process, *proxy])[0] / 1e6:.0f} MB")
    for page in pages.values():
        page.context.close()
