"""Checks the rules on words, sizes and places of CONTRIBUTING.md that a program can check. `make lint` runs it.

An exception is a line `rule path` in `style_exceptions.txt`. One without a violation is an error too, so the list
only shrinks.

usage: python tools/style_rules.py [--list]     --list prints the violations in the form of the exceptions
"""

import ast
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from pathlib import Path

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 50
"""A screen of 40 lines, and room for a signature and a docstring."""

SOURCES = ("chassis", "cli", "services", "gateway", "tests", "deploy", "tools")
PROSE = ("*.md", "docs/**/*.md", "chassis/**/*.md", "cli/**/*.md", "services/**/*.md", "gateway/*.md", "contracts/*.md")
NOT_READ = {".venv", ".cartwright", "node_modules", "__pycache__"}

# Each word that a name must not have, and the term of docs/glossary.md that it stands for.
REPLACED_NAMES = {
    "allot": "allocate",
    "bury": "dead_letter",
    "cautiously": "adaptive_batch",
    "desk": "batcher",
    "elsewhere": "remote_system",
    "end_undone": "finish_compensation",
    "give_back": "refund, release or compensate",
    "given_back": "refunded, released or compensated",
    "go_back": "rewind",
    "goods": "products",
    "heed": "handle",
    "judge": "check",
    "judgement": "verdict",
    "last_will": "reaper",
    "letters": "notifications or mails",
    "looks": "snapshots",
    "measuring": "runner",
    "put_off": "defer",
    "turn_round": "begin_compensation",
    "ward": "quarantine",
    "yardstick": "baseline",
}
REPLACED_WORDS = {
    "somebody": "the actor: the client, the replica, the operator",
    "nobody": "the actor: no client, no replica, no operator",
    "whoever": "the actor: the client, the replica, the operator",
    "heed": "handle",
    "heeds": "handles",
    "turn round": "begin compensation",
    "turns round": "begins compensation",
    "turned round": "began compensation",
    "put off": "deferred",
    "puts off": "defers",
}
SERVICE_FOLDERS = {"http", "domain", "store", "clients", "workers", "templates", "static", "data"}
SQL_HOME = "store"

SENTENCE_WORDS = {"elsewhere", "goods", "judge", "letters", "looks"}
"""Replaced as names of things; the sentence of a test may use them."""

_PARTS_OF_NAME = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_STATEMENT = re.compile(
    r"\s*(?:--[^\n]*\n\s*)*(?:SELECT\s.*\sFROM\s|INSERT\s+INTO\s|UPDATE\s+\w+\s.*SET\s|DELETE\s+FROM\s|WITH\s+\w+.*\sAS\s+\()",
    re.DOTALL,
)
_WORDS = re.compile(r"\b(" + "|".join(REPLACED_WORDS) + r")\b", re.IGNORECASE)
_CODE_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?:\[`?([^\]`]*)`?)?\]\(([^)\s]+)\)")
_FILE_NAME = re.compile(r"[\w./-]+\.(?:py|md|sql|j2|yaml|sh)")
_HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)
_TEST_NAME = re.compile(r"`(?:[\w/]+/)?(test_\w+)(\.\.\.|\.py)?`")
_PATH = re.compile(r"`(?:\.\./)*((?:[\w.-]+/)+[\w.-]+\.(?:py|md|sql|j2|yaml|toml))`")
_HISTORY = ("docs/decisions/", "CHANGELOG.md")
"""Pages about the past may name files that are gone."""
_DECISION = re.compile(r"\b(?:docs/decisions/|[Dd]ecision )(\d{1,4})\b")


@dataclass(frozen=True, order=True)
class Violation:
    rule: str
    path: str
    line: int
    message: str

    @property
    def exception(self) -> str:
        """The line of `style_exceptions.txt` that allows it."""
        return f"{self.rule} {self.path}"


class Tree:
    """The files below `root` that the rules read."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def names(self) -> str:
        """The paths of all files, each between newlines, for searches of a path by its end."""
        found = self.files(f"{folder}/**/*.*" for folder in (*SOURCES, "docs", "contracts"))
        return "\n" + "\n".join(["", *(f"/{self.name(path)}" for path in found), ""])

    @cached_property
    def tests(self) -> str:
        """The names of all test functions and test modules, each between newlines."""
        found: list[str] = []
        for path in self.files(f"{folder}/**/test_*.py" for folder in SOURCES):
            found += [path.stem, *re.findall(r"def (test_\w+)", path.read_text())]
        return "\n".join(["", *found, ""])

    def files(self, patterns: Iterable[str]) -> Iterator[Path]:
        found = {path for pattern in patterns for path in self.root.glob(pattern) if path.is_file()}
        return iter(sorted(path for path in found if NOT_READ.isdisjoint(path.relative_to(self.root).parts)))

    def name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


def check(root: Path) -> list[Violation]:
    """All violations below `root`, exceptions included."""
    tree = Tree(root)
    found: list[Violation] = []
    for path in tree.files(["*.py", *(f"{folder}/**/*.py" for folder in SOURCES)]):
        found += check_python(tree.name(path), path.read_text())
    for path in tree.files(PROSE):
        found += check_prose(tree.name(path), path.read_text())
        found += check_links(tree, path)
        found += check_mentions(tree, path)
    found += check_folders(tree)
    return sorted(found)


def check_python(path: str, source: str) -> Iterator[Violation]:
    module = ast.parse(source)
    lines = source.count("\n")
    if lines > FILE_LINES_MAX:
        yield Violation("file-length", path, 1, f"{lines} lines; a file has at most {FILE_LINES_MAX}")
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            own = own_lines(node)
            if own > FUNCTION_LINES_MAX:
                message = f"{node.name} has {own} lines; a function has at most {FUNCTION_LINES_MAX}"
                yield Violation("function-length", path, node.lineno, message)
    yield from _check_names(path, module)
    yield from _check_words_of_python(path, source, module)
    yield from _check_place_of_sql(path, module)


def own_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function without those of the functions inside it, which are counted by themselves."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    inside = list(ast.iter_child_nodes(function))
    while inside:
        node = inside.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            lines -= (node.end_lineno or node.lineno) - first + 1
        else:
            inside += ast.iter_child_nodes(node)
    return lines


def _check_names(path: str, module: ast.Module) -> Iterator[Violation]:
    names: dict[str, int] = {Path(path).stem: 1}
    for node in ast.walk(module):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.setdefault(name, node.lineno)
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
                names.setdefault(name, node.lineno)
    for name, line in names.items():
        parts = "_".join(_PARTS_OF_NAME.findall(name)).lower()
        for word, term in REPLACED_NAMES.items():
            if f"_{word}_" in f"_{parts}_" and not (name.startswith("test_") and word in SENTENCE_WORDS):
                yield Violation("name", path, line, f"{name}: the term for {word!r} is {term}")
        for word in ("somebody", "nobody", "whoever"):
            if f"_{word}_" in f"_{parts}_":
                yield Violation("name", path, line, f"{name}: name {REPLACED_WORDS[word]}")


def _check_words_of_python(path: str, source: str, module: ast.Module) -> Iterator[Violation]:
    """In comments, and in docstrings and other strings that stand alone as a statement."""
    if path == "tools/style_rules.py":
        return
    texts = [
        (token.start[0], token.string)
        for token in tokenize.generate_tokens(StringIO(source).readline)
        if token.type == tokenize.COMMENT
    ]
    for node in ast.walk(module):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                texts.append((node.lineno, text))
    for line, text in texts:
        yield from _check_words(path, line, text)


def _check_words(path: str, first_line: int, text: str) -> Iterator[Violation]:
    for found in _WORDS.finditer(text):
        line = first_line + text.count("\n", 0, found.start())
        yield Violation("word", path, line, f"{found[0]!r}: write {REPLACED_WORDS[found[0].lower()]}")


def _check_place_of_sql(path: str, module: ast.Module) -> Iterator[Violation]:
    parts = Path(path).parts
    if parts[0] != "services" or len(parts) < 4 or parts[2] in {"tests", "migrations"} or parts[3] == SQL_HOME:
        return
    for node in ast.walk(module):
        match node:
            case ast.Constant(value=str(text)) if _STATEMENT.match(text):
                message = f"SQL of a service is in its folder {SQL_HOME}/"
                yield Violation("sql", path, node.lineno, message)


def check_prose(path: str, text: str) -> Iterator[Violation]:
    if path == "docs/glossary.md":  # It names the words that its terms replace.
        return
    shown = _CODE_FENCE.sub(lambda fence: "\n" * fence[0].count("\n"), text)
    yield from _check_words(path, 1, shown)


def check_links(tree: Tree, path: Path) -> Iterator[Violation]:
    """Links to files and headings of the repository, and numbers of decisions."""
    text = path.read_text()
    name = tree.name(path)
    for link in _LINK.finditer(text):
        target, _, anchor = link[2].partition("#")
        line = text.count("\n", 0, link.start()) + 1
        if "://" in target or target.startswith("mailto:"):
            continue
        file = path if target == "" else (path.parent / target)
        if not file.exists():
            yield Violation("link", name, line, f"{link[2]} leads nowhere")
        elif link[1] and _FILE_NAME.fullmatch(link[1]) and not target.endswith(link[1]):
            yield Violation("link", name, line, f"{link[1]} is not the name of {target}")
        elif anchor and file.suffix == ".md" and anchor not in anchors(file.read_text()):
            yield Violation("link", name, line, f"{target or name} has no heading #{anchor}")
    numbers = {int(page.name[:4]) for page in (tree.root / "docs" / "decisions").glob("[0-9]*.md")}
    for found in _DECISION.finditer(text):
        if int(found[1]) not in numbers:
            line = text.count("\n", 0, found.start()) + 1
            yield Violation("link", name, line, f"there is no decision {found[1]}")


def check_mentions(tree: Tree, path: Path) -> Iterator[Violation]:
    """Names of tests and paths of files, in backquotes, exist. A path may lack its first folders."""
    text = path.read_text()
    name = tree.name(path)
    mentions = [
        (found, f"\n{found[1]}" + ("" if found[2] == "..." else "\n"), tree.tests)
        for found in _TEST_NAME.finditer(text)
    ]
    if not name.startswith(_HISTORY):
        mentions += [(found, f"/{found[1]}\n", tree.names) for found in _PATH.finditer(text)]
    for found, wanted, names in mentions:
        if wanted not in names:
            line = text.count("\n", 0, found.start()) + 1
            yield Violation("mention", name, line, f"{found[0]} does not exist")


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    plain = _CODE_FENCE.sub("", text)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in _HEADING.findall(plain)}


def check_folders(tree: Tree) -> Iterator[Violation]:
    """The folders of each service's package are those of the service template."""
    for settings in tree.files(["services/*/pyproject.toml"]):
        service = settings.parent.name
        package = settings.parent / service.replace("-", "_")
        for folder in sorted(path for path in package.glob("*") if path.is_dir()):
            if folder.name not in SERVICE_FOLDERS | NOT_READ:
                message = f"a service has the folders {', '.join(sorted(SERVICE_FOLDERS))}"
                yield Violation("folder", tree.name(folder), 1, message)
        for name in ("app.py", "settings.py", "http"):
            if not (package / name).exists():
                yield Violation("folder", tree.name(package), 1, f"the service template has {name}")


def compare(found: list[Violation], exceptions: list[str]) -> list[str]:
    """What to report: violations without an exception, and exceptions without a violation."""
    needed = {violation.exception for violation in found}
    reported = [
        f"{violation.path}:{violation.line}: {violation.rule}: {violation.message}"
        for violation in found
        if violation.exception not in exceptions
    ]
    stale = [
        f"tools/style_exceptions.txt: {line!r} is not needed any more" for line in exceptions if line not in needed
    ]
    return reported + stale


def read_exceptions(file: Path) -> list[str]:
    lines = (line.partition("#")[0].strip() for line in file.read_text().splitlines())
    return [line for line in lines if line]


def main(arguments: list[str]) -> int:
    root = Path(__file__).parents[1]
    found = check(root)
    if "--list" in arguments:
        print("\n".join(sorted({violation.exception for violation in found})))
        return 0
    reported = compare(found, read_exceptions(Path(__file__).with_name("style_exceptions.txt")))
    print("\n".join(reported) if reported else "The style rules hold.")
    return 1 if reported else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
