"""Each rule of `tools/style_rules.py` reports what breaks it and lets pass what does not."""

import ast
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from tools import style_rules
from tools.style_rules import Violation

WriteFile = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> WriteFile:
    def write_file(path: str, text: str) -> Path:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        return file

    return write_file


def rules_broken(root: Path) -> list[tuple[str, str, int]]:
    return [(violation.rule, violation.path, violation.line) for violation in style_rules.check(root)]


def test_a_file_has_at_most_400_lines(tmp_path: Path, write: WriteFile) -> None:
    write("cli/long.py", "x = 1\n" * 401)
    write("cli/short.py", "x = 1\n" * 400)
    assert rules_broken(tmp_path) == [("file-length", "cli/long.py", 1)]


def test_a_function_has_at_most_50_lines_and_those_inside_it_are_counted_by_themselves() -> None:
    inner = "    @decorated\n    def inner():\n" + "        x = 1\n" * 49
    outer = ast.parse("def outer():\n" + inner + "    return inner\n").body[0]
    assert isinstance(outer, ast.FunctionDef)
    assert style_rules.own_lines(outer) == 2


def test_the_methods_of_a_class_inside_a_function_are_counted_by_themselves() -> None:
    outer = ast.parse("def outer():\n    class Inner:\n        def method(self):\n            return 1\n").body[0]
    assert isinstance(outer, ast.FunctionDef)
    assert style_rules.own_lines(outer) == 2


def test_a_name_with_a_replaced_word_is_reported_with_its_term(tmp_path: Path, write: WriteFile) -> None:
    write("cli/names.py", "class LastWill:\n    def forward(self, wards): ...\n\ndef turn_round(): ...\n")
    broken = style_rules.check(tmp_path)
    assert [(violation.line, violation.message.split(":")[0]) for violation in broken] == [
        (1, "LastWill"),
        (4, "turn_round"),
    ]
    assert "begin_compensation" in broken[1].message


def test_a_replaced_word_in_a_comment_or_a_docstring_is_reported_at_its_line(tmp_path: Path, write: WriteFile) -> None:
    write("cli/words.py", '"""First.\n\nSomebody waits.\n"""\nx = "nobody"  # whoever reads this\n')
    assert rules_broken(tmp_path) == [("word", "cli/words.py", 3), ("word", "cli/words.py", 5)]


def test_a_replaced_word_in_a_page_is_reported_but_in_a_code_block_it_is_not(tmp_path: Path, write: WriteFile) -> None:
    write("README.md", "A page.\n\n```\nnobody\n```\n\nThe user `nobody`, and nobody.\n")
    assert rules_broken(tmp_path) == [("word", "README.md", 7), ("word", "README.md", 7)]


def test_sql_outside_the_store_of_a_service_is_reported(tmp_path: Path, write: WriteFile) -> None:
    statement = 'text = """\n    SELECT id FROM orders WHERE id = $1"""\n'
    write("services/shop/shop/place_order.py", statement)
    write("services/shop/shop/store/orders.py", statement)
    write("services/shop/tests/test_orders.py", statement)
    write("services/shop/shop/prose.py", 'text = "SELECT is a word of SQL; with it one reads."\n')
    assert rules_broken(tmp_path) == [("sql", "services/shop/shop/place_order.py", 1)]


def test_a_service_has_the_folders_of_the_template(tmp_path: Path, write: WriteFile) -> None:
    write("services/shop/pyproject.toml", "")
    write("services/shop/shop/app.py", "")
    write("services/shop/shop/utils/text.py", "")
    write("services/shop/shop/http/orders.py", "")
    assert rules_broken(tmp_path) == [("folder", "services/shop/shop", 1), ("folder", "services/shop/shop/utils", 1)]


def test_a_link_leads_to_a_file_and_a_heading_of_the_repository(tmp_path: Path, write: WriteFile) -> None:
    write("docs/decisions/0007-batches.md", "# 7. Batches\n\n## What it costs\n")
    write(
        "README.md",
        "[a](docs/decisions/0007-batches.md#what-it-costs) [b](https://example.com/x) decision 7\n"
        "[decisions/0007-batches.md](docs/decisions/0007-batches.md)\n",
    )
    assert rules_broken(tmp_path) == []
    write(
        "README.md",
        """\
        [a](docs/missing.md)
        [b](docs/decisions/0007-batches.md#elsewhere)
        decision 9
        [0006-batches.md](docs/decisions/0007-batches.md)
        """,
    )
    assert rules_broken(tmp_path) == [("link", "README.md", line) for line in (1, 2, 3, 4)]


def test_tests_and_files_that_a_page_mentions_exist(tmp_path: Path, write: WriteFile) -> None:
    write("services/shop/tests/test_orders.py", "def test_an_order_ends() -> None: ...\n")
    write("services/shop/shop/orders.py", "")
    write(
        "README.md", "`test_an_order_ends`, `test_an_...`, `test_orders.py`, `tests/test_orders.py`, `shop/orders.py`\n"
    )
    assert rules_broken(tmp_path) == []
    write("README.md", "`test_an_order`, `test_a_...`\n`test_order.py`\n`hop/orders.py`\n")
    assert rules_broken(tmp_path) == [("mention", "README.md", line) for line in (1, 1, 2, 3)]


def test_an_exception_allows_a_rule_in_a_file_until_it_is_not_needed() -> None:
    found = [Violation("name", "a.py", 1, "x"), Violation("word", "a.py", 2, "y")]
    assert style_rules.compare(found, ["name a.py", "word a.py"]) == []
    assert style_rules.compare(found, ["name a.py"]) == ["a.py:2: word: y"]
    (stale,) = style_rules.compare([], ["name a.py"])
    assert "not needed" in stale


def test_a_comment_says_why_an_exception_is_there(tmp_path: Path) -> None:
    file = tmp_path / "exceptions.txt"
    file.write_text("# All of it is one table.\nfile-length a.py  # one table\n\n")
    assert style_rules.read_exceptions(file) == ["file-length a.py"]
