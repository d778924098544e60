"""What comes from elsewhere is known by its hash and runs no code, and nothing here calls home."""

import ast
import html.parser
import json
import os
import pickle
import re
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import psutil
import pytest

from course_lib import checkpoints
from tests.lab_server import lab_server
from tests.loopback_hub import LoopbackHub
from tests.sources import ROOT, python_sources, repository_files
from tests.test_reviews import load_in_a_process, sst2
from tests.test_tools_lab import wait_until_it_listens
from tools import licences
from tools.install import pins
from tools.notebooks import FETCH, SAME_EVERYWHERE, WIDGET

SOURCES = python_sources()

# What is downloaded, and what is shipped ----------------------------------------------------


@pytest.mark.parametrize("name", checkpoints.PUBLISHED)
def test_a_download_is_pinned_to_a_commit_and_each_of_its_files_to_a_hash(name):
    _, revision, files = checkpoints.PUBLISHED[name]
    assert re.fullmatch(r"[0-9a-f]{40}", revision), "a branch or a tag may move"
    assert {Path(file).suffix for file in files} == {".json", ".safetensors"}
    assert all(re.fullmatch(r"[0-9a-f]{64}", sha256) for sha256 in files.values())


def test_no_file_of_the_repository_runs_code_when_it_is_loaded():
    pickles = [".bin", ".ckpt", ".dill", ".h5", ".joblib", ".keras", ".npy", ".npz"]
    pickles += [".pickle", ".pkl", ".pt", ".pt2", ".pth"]
    assert repository_files(*pickles) == []
    models = repository_files(".safetensors")
    assert models
    for model in models:
        assert "sha256" in json.loads(model.with_suffix(".json").read_text(encoding="utf-8"))


# Loading ------------------------------------------------------------------------------------

RUN_CODE = (  # functions, and modules all of whose functions do
    *("builtins.eval", "builtins.exec", "marshal.load", "marshal.loads", "runpy", "shelve"),
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "_pickle.load", "_pickle.loads"),
    *("cloudpickle.load", "cloudpickle.loads", "dill.load", "dill.loads", "joblib.load"),
    *("pandas.read_pickle", "torch.hub", "torch.jit.load", "torch.load", "torch.package"),
    *("yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load"),
)
SAFE_VALUES = {"trust_remote_code": "False", "allow_pickle": "False", "use_safetensors": "True"}


def names_of(tree: ast.AST) -> dict[str, str]:
    """What the names of a source stand for: `load` for `torch.load` after an import of that."""
    names = {"eval": "builtins.eval", "exec": "builtins.exec"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            names |= {
                alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names
            }
    return names


def full_name(node: ast.AST, names: dict[str, str]) -> str:
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        return f"{full_name(node.value, names)}.{node.attr}"
    return ""


def unsafe_loads(source: str, allowed: tuple[str, ...] = ()) -> list[str]:
    """Where a source could run code from a file or a text, or fetch a model by a name that moves.

    `torch.load` is safe with weights_only=True, and only where it is called at once.
    """
    tree = ast.parse(source)
    names = names_of(tree)
    found, safe = [], set()
    for node in ast.walk(tree):  # a call comes before its function
        full = full_name(node, names)
        if isinstance(node, ast.Call):
            function = full_name(node.func, names)
            values = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            first = (
                node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else ""
            )
            if function == "torch.load" and values.get("weights_only") == "True":
                safe.add(node.func)
            if any(values.get(name, value) != value for name, value in SAFE_VALUES.items()):
                found.append(ast.unparse(node))
            if function.endswith(".from_pretrained") and first and "revision" not in values:
                found.append(ast.unparse(node))
            if function.endswith(("__import__", "import_module")) and any(
                name.startswith(f"{first}.") for name in RUN_CODE if first
            ):
                found.append(ast.unparse(node))
        elif node not in safe and any(
            f"{full}.".startswith(f"{name}.") for name in RUN_CODE if name not in allowed
        ):
            found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "from torch import load; load(path)",
        "import torch as t; t.load(path)",
        "from torch import load as read; read(path)",
        "read = torch.load",
        "functools.partial(torch.load, weights_only=True)",
        "torch.hub.load('someone/model', 'model')",
        "pickle.load(file)",
        "from pickle import Unpickler as Reader; Reader(file).load()",
        "importlib.import_module('pickle').load(file)",
        "__import__('dill').load(file)",
        "joblib.load(path)",
        "import joblib as j; j.load(path)",
        "dill.load(file)",
        "import cloudpickle; cloudpickle.loads(text)",
        "pandas.read_pickle(path)",
        "import pandas as pd; pd.read_pickle(path)",
        "shelve.open(path)",
        "numpy.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=anything)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "AutoModel.from_pretrained(name, use_safetensors=False)",
        "AutoModel.from_pretrained('bert-base-uncased')",
        "load_dataset(name, trust_remote_code=True)",
        "yaml.load(text, Loader=yaml.Loader)",
        "import yaml as y; y.unsafe_load(text)",
        "eval(text)",
        "exec(text, {})",
    ],
)
def test_an_unsafe_load_is_recognised(source):
    assert unsafe_loads(source)


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(path, weights_only=True)",
        "from torch import load; load(path, weights_only=True)",
        "import pickle\ntry: read()\nexcept pickle.UnpicklingError: pass",
        "numpy.load(path, allow_pickle=False)",
        "AutoModel.from_pretrained(folder)",
        "AutoModel.from_pretrained('name', revision=commit)",
        "safetensors.torch.load_file(path)",
        "load_dataset('csv', data_files=path)",
        "yaml.safe_load(text)",
        "json.load(file)",
        "model.eval()",
        "evaluate(model)",
        "importlib.import_module('course_lib.attention')",
    ],
)
def test_a_safe_load_is_left_alone(source):
    assert unsafe_loads(source) == []


@pytest.mark.parametrize("path", SOURCES)
def test_nothing_that_is_loaded_can_run_code(path):
    own_text = ("builtins.eval", "builtins.exec") if path.startswith("tests/") else ()
    assert unsafe_loads(SOURCES[path], allowed=own_text) == []


# What a browser is given --------------------------------------------------------------------

RUNS_TEXT = re.compile(  # as a program or as markup
    r"""\beval\s*\(|\bFunction\s*\(|\bset(Timeout|Interval)\s*\(\s*["'`]|\bdocument\.write"""
    r"""|\b(inner|outer)HTML\b|insertAdjacentHTML|createContextualFragment|setHTMLUnsafe"""
    r"""|DOMParser|srcdoc|javascript:|\bimport\s*\("""
)
REMOTE = re.compile(r"""(?i)\b(https?|wss?):(?!//www\.w3\.org/)|["'`(]\s*//\w|\bsrc=["']?//""")


@pytest.mark.parametrize(
    "script",
    [
        "eval(text)",
        "new Function(text)",
        "setTimeout('go()', 10)",
        "cell.innerHTML = token",
        "cell.insertAdjacentHTML('beforeend', token)",
        "document.write(token)",
        "await import(address)",
        "frame.srcdoc = token",
        "link.href = `javascript:${token}`",
        "import d3 from 'https://cdn.jsdelivr.net/npm/d3'",
        "fetch('//cdn.example/x.js')",
        "@import url(//fonts.example/x.css)",
        "new WebSocket('wss://example.org')",
    ],
)
def test_a_script_that_runs_text_or_fetches_is_recognised(script):
    assert RUNS_TEXT.search(script) or REMOTE.search(script)


@pytest.mark.parametrize(
    "path", repository_files(".js", ".css", ".html"), ids=lambda path: path.name
)
def test_scripts_and_styles_run_no_text_and_fetch_nothing(path):
    text = path.read_text(encoding="utf-8")
    assert not RUNS_TEXT.search(text)
    assert not REMOTE.search(text)


class References(html.parser.HTMLParser):
    """Whatever the attributes of a page refer to, and the text of its scripts and styles."""

    def __init__(self, page):
        super().__init__()
        self.attributes, self.code = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.attributes += [value or "" for _, value in attributes]

    def handle_data(self, data):
        if self.cdata_elem:
            self.code.append(data)


def remote(page):
    """What a page refers to beyond itself."""
    references = References(page)
    found = [value for value in references.attributes if re.match(r"(?i)\s*(https?:|//)", value)]
    found += [value for value in references.attributes if FETCH.search(value)]
    return found + [text for text in references.code if FETCH.search(text)]


@pytest.mark.parametrize(
    "page",
    [
        "<script src=//cdn.example/x.js></script>",
        "<img SRC='https://example.org/x.png'>",
        "<link rel=stylesheet href='http://example.org/x.css'>",
        "<a href='https://example.org'>more</a>",
        "<p style='background: url(https://example.org/x.png)'>",
        "<style>@import '//example.org/x.css'</style>",
        "<script>import x from 'https://example.org/x.js'</script>",
        "<object data=https://example.org>",
    ],
)
def test_a_page_that_refers_beyond_itself_is_recognised(page):
    assert remote(page)


@pytest.mark.parametrize("path", repository_files(".ipynb"), ids=lambda path: path.stem)
def test_committed_outputs_refer_to_nothing_beyond_themselves(path):
    """Links stand in the prose, where a reader sees where they lead."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    kinds = {kind for output in outputs for kind in output.get("data", {})}
    assert kinds <= {"text/plain", "text/html", "image/png", WIDGET}
    pages = ["".join(output.get("data", {}).get("text/html", "")) for output in outputs]
    assert any(pages)
    assert [found for page in pages for found in remote(page)] == []


# Nobody is listened to but this computer ----------------------------------------------------

OPEN_TO_ALL = re.compile(
    r"""\b0\.0\.0\.0\b|\b(ip|host|bind|address)["']?\s*[=:]\s*["']?(\*|::)|bind\(\(\s*(""|''),"""
)


@pytest.mark.parametrize(
    "line",
    [
        "--ServerApp.ip=0.0.0.0",
        "c.ServerApp.ip = '*'",
        'server.bind(("", 80))',
        'host="::"',
    ],
)
def test_a_server_open_to_all_is_recognised(line):
    assert OPEN_TO_ALL.search(line)


def test_no_server_of_the_course_is_open_to_all():
    kinds = [".md", ".yml", ".yaml", ".toml", ".cfg", ".sh", ".js", ".html", ""]
    texts = {path.name: path.read_text(encoding="utf-8") for path in repository_files(*kinds)}
    texts |= {
        path: code for path, code in SOURCES.items() if not path.endswith(Path(__file__).name)
    }
    assert [path for path, text in texts.items() if OPEN_TO_ALL.search(text)] == []


def listening():
    """The addresses and ports at which the processes that tests have started can be reached."""
    found = set()
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            found |= {
                (connection.laddr.ip, connection.laddr.port)
                for connection in process.net_connections()
                if connection.status == psutil.CONN_LISTEN
            }
    return found


def test_jupyterlab_and_its_kernels_listen_to_this_computer_only():
    with lab_server("--port=18890") as address:
        port = int(re.search(r":(\d+)/", address)[1])
        wait_until_it_listens(port)
        token = address.partition("token=")[2]
        start = urllib.request.Request(
            f"http://127.0.0.1:{port}/api/kernels",
            data=b'{"name": "python3"}',
            headers={"Authorization": f"token {token}"},
        )
        with urllib.request.urlopen(start, timeout=120) as reply:
            assert reply.status == 201
        found = set()
        for _ in range(600):  # a kernel takes its time to start
            found |= listening()
            if len(found) > 5:
                break
            time.sleep(0.2)
    assert ("127.0.0.1", port) in found
    assert len(found) > 5, "the kernel's five sockets are not there"
    assert {ip for ip, _ in found} <= {"127.0.0.1", "::1"}


# Nobody is called ---------------------------------------------------------------------------

WATCH = """
import sys
calls = []
def note(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.sendto") or (
        event == "socket.connect" and isinstance(arguments[1], tuple)
    ):
        calls.append((event, *map(str, arguments)))
sys.addaudithook(note)
"""
A_STUDENTS_FIRST_STEPS = """
from transformers import AutoModel, AutoTokenizer
from course_lib.checkpoints import locate
from course_lib.explorers import attention_explorer, bert_source
from course_lib.reviews import load_reviews
folder = locate("bert-base-uncased")
model = AutoModel.from_pretrained(folder, attn_implementation="eager")
explorer = attention_explorer(bert_source(AutoTokenizer.from_pretrained(folder), model), "A bank.")
assert "bank" in explorer.copy_html()
load_reviews()
"""


def imports_of_lessons():
    """Every import statement of every lesson."""
    return "\n".join(
        ast.unparse(node)
        for path, code in SOURCES.items()
        if re.fullmatch(r"notebooks/\w+\.ipynb", path)
        for node in ast.parse(code).body
        if isinstance(node, ast.Import | ast.ImportFrom)
    )


def calls_of(program, home):
    """The addresses that a program asks for in a new Python, with nothing switched off."""
    switches = {"HF_HOME": str(home), "IPYTHONDIR": str(home)}
    environment = {name: value for name, value in os.environ.items() if name not in SAME_EVERYWHERE}
    report = "\nfor call in calls: print('called', *call)\n"
    done = subprocess.run(
        [sys.executable, "-c", WATCH + program + report],
        env={**environment, **switches},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return re.findall(r"(?m)^called (.*)", done.stdout)


@pytest.mark.parametrize(
    "program",
    [
        "import socket; socket.getaddrinfo('localhost', 9)",
        "import socket; socket.socket().connect_ex(('127.0.0.1', 9))",
        "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'', ('127.0.0.1', 9))",
    ],
)
def test_a_call_is_noticed(program, tmp_path):
    assert calls_of(program, tmp_path)


def test_importing_and_loading_call_nobody(tmp_path):
    assert calls_of(imports_of_lessons() + A_STUDENTS_FIRST_STEPS, tmp_path) == []


# Licences -----------------------------------------------------------------------------------

BSD_CLASSIFIER = "Classifier: License :: OSI Approved :: BSD License"


def test_every_package_has_an_accepted_licence_and_stands_in_the_list():
    rows = re.findall(r"(?m)^\| (.+) \| (.+) \|$", licences.DOCUMENT.read_text(encoding="utf-8"))
    listed = {package: its for its, packages in rows[2:] for package in packages.split(", ")}
    here = {package: licences.licence(package) for package in licences.runtime_packages()}
    assert len(here) > 100
    wrong = {
        package: its
        for package, its in here.items()
        if listed.get(package) != its and version(package) == pins().get(package)
    }
    assert not wrong, "run `python -m tools.licences`"
    assert listed.keys() <= pins().keys()


@pytest.mark.parametrize(
    ("lines", "its"),
    [
        ("License-Expression: MIT", "MIT"),
        ("License-Expression: (Apache-2.0 WITH LLVM-exception) AND MIT", "Apache 2.0, MIT"),
        ("License: BSD 3-Clause License\n  Copyright (c)\n" + BSD_CLASSIFIER, "BSD"),
        ("License: UNKNOWN\n" + BSD_CLASSIFIER, "BSD"),
        ("License-Expression: GPL-3.0-or-later", None),
        ("License-Expression: MIT AND AGPL-3.0-only", None),
        ("License: MIT, but not for you", None),
        ("License: Proprietary", None),
        ("Summary: without a licence", None),
    ],
)
def test_what_a_package_says_of_its_licence_is_understood(lines, its, tmp_path, monkeypatch):
    about = tmp_path / "planted-1.0.dist-info" / "METADATA"
    about.parent.mkdir()
    about.write_text(f"Metadata-Version: 2.4\nName: planted\nVersion: 1.0\n{lines}\n")
    monkeypatch.syspath_prepend(tmp_path)
    if its is None:
        with pytest.raises(ValueError, match="planted has the licence"):
            licences.licence("planted")
    else:
        assert licences.licence("planted") == its


# A hub that means ill -----------------------------------------------------------------------


class Evil:
    """A pickle that makes a folder when it is loaded."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def test_code_in_a_public_data_set_is_not_run(tmp_path):
    """Neither a script with the repository's name nor a pickle in the place of a table."""
    mark = tmp_path / "it ran"
    script, pickled = sst2(tmp_path / "script"), tmp_path / "pickled"
    (script / "script.py").write_text(f"import os\nos.mkdir({str(mark)!r})\n")
    pickled.mkdir()
    for split in ("train", "validation", "test"):
        (pickled / f"{split}.pkl").write_bytes(pickle.dumps(Evil(mark)))
    with LoopbackHub() as hub:
        hub.add("datasets/evil/script", script)
        hub.add("datasets/evil/pickled", pickled)
        said = load_in_a_process(tmp_path / "home", hub, "evil/script", "evil/pickled")
    assert not mark.exists()
    advice = "Take another data set, such as stanfordnlp/sst2."
    assert [told[:2] for told in said] == [
        [
            "CheckpointError",
            "evil/script cannot be read (Dataset scripts are no longer supported, but found "
            f"script.py). {advice}",
        ],
        [
            "CheckpointError",
            "evil/pickled cannot be read (No (supported) data files found in evil/pickled). "
            f"{advice}",
        ],
    ]
