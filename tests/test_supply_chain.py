"""Nothing that comes from elsewhere can run code here, unless a hash vouches for it."""

import ast

import pytest

from tests.sources import python_sources


def unsafe_loads(source: str) -> list[str]:
    """Calls in a source that could run code from a file that they load."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        function = ast.unparse(node.func)
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if (
            function in {"pickle.load", "pickle.loads", "pickle.Unpickler", "joblib.load"}
            or (function == "torch.load" and keywords.get("weights_only") != "True")
            or keywords.get("trust_remote_code", "False") != "False"
            or keywords.get("allow_pickle", "False") != "False"
        ):
            found.append(ast.unparse(node))
        if function in {"__import__", "import_module"} and "pickle" in ast.unparse(node):
            found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize(
    ("source", "unsafe"),
    [
        ("torch.load(path)", True),
        ("torch.load(path, weights_only=False)", True),
        ("torch.load(path, weights_only=True)", False),
        ("pickle.load(file)", True),
        ("numpy.load(path, allow_pickle=True)", True),
        ("AutoModel.from_pretrained(name, trust_remote_code=True)", True),
        ("AutoModel.from_pretrained(name)", False),
    ],
)
def test_unsafe_loads_are_recognised(source, unsafe):
    assert bool(unsafe_loads(source)) == unsafe


def test_nothing_downloaded_can_run_code():
    found = {name: unsafe_loads(source) for name, source in python_sources()}
    assert not {name: calls for name, calls in found.items() if calls}
