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
            "environment": {**SAME_EVERYWHERE, "JUPYTERLAB_SETTINGS_DIR": f"{folder}/settings"},
            "start_timeout": PATIENCE,
            "http_timeout": PATIENCE,
        },
    }
    file = folder / "hub.json"
    file.write_text(json.dumps(configuration))
    file.chmod(0o600)
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


def test_two_students_work_on_a_hub(hub, address, browser, folder, screenshots, tell):
    hub_address, hub_process, password = hub
    patience = PATIENCE * 1000
    with contextlib.ExitStack() as windows:
        pages = {}
        for student in STUDENTS:
            context = browser.new_context(viewport={"width": 1280, "height": 1000})
            windows.callback(context.close)
            context.set_default_timeout(patience)
            context.set_default_navigation_timeout(patience)
            pages[student] = context.new_page()
            pages[student].goto(f"{hub_address}/hub/login")
            pages[student].get_by_label("Username").fill(student)
            pages[student].get_by_label("Password").fill(password)
        for page in pages.values():
            page.get_by_role("button", name="Sign in").click(no_wait_after=True)
        for page in pages.values():
            page.wait_for_selector(".jp-Launcher")
        idle = memory(family(servers(hub_process)[STUDENTS[0]]))

        link = links.published()._replace(address=address).hub(hub_address, LESSON)
        for page in pages.values():
            page.goto(link, wait_until="commit")
        for page in pages.values():
            page.wait_for_selector(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell")
            page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
        opened = memory(family(servers(hub_process)[STUDENTS[0]]))
        assert set(servers(hub_process)) == set(STUDENTS)

        page = pages[STUDENTS[0]]
        with watching(servers(hub_process)[STUDENTS[0]]) as seen:
            run_all(page, timeout=4 * PATIENCE)
        explorer = page.locator(".explorer:not(.explorer-copy)").first
        explorer.scroll_into_view_if_needed()
        explorer.get_by_label("Your sentence").wait_for()
        page.screenshot(path=screenshots / "jupyterhub.png")
        done = memory(family(servers(hub_process)[STUDENTS[0]]))
        choose(page, "File", "Save Notebook")
        page.locator(".jp-mod-current:not(.jp-mod-dirty)").first.wait_for()

        assert listening_on(family(hub_process)) == {"127.0.0.1"}

    published = nbformat.read(folder / "published" / COURSE / LESSON, as_version=4).cells
    saved = [folder / "homes" / student / COURSE / LESSON for student in STUDENTS]
    mine, others = (nbformat.read(file, as_version=4).cells for file in saved)
    assert others == published
    assert mine != published
    assert [cell.source for cell in mine] == [cell.source for cell in published]

    for when, (shared, own) in {
        "server alone": idle,
        "lesson 08 open, its kernel idle": opened,
        "lesson 08 running, the most": max(seen),
        "lesson 08 run to its end": done,
    }.items():
        tell(f"one of two students, {when}: {shared / 1e6:.0f} MB, its own {own / 1e6:.0f} MB")
    hub_alone = memory([hub_process, *proxy_processes(hub_process)])
    tell(f"the hub and its proxy: {hub_alone[0] / 1e6:.0f} MB")


def proxy_processes(hub):
    """The processes of the hub's proxy."""
    return [one for one in hub.children() if "configurable-http-proxy" in " ".join(one.cmdline())]
