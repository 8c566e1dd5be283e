"""Decide whether a user's statement only reads: compare DuckDB's own parse of it with what is known to read.

Everything unknown is refused. The text itself decides nothing: DuckDB replaces characters that look like blanks before
it reads names, so that somebody who looks at the text sees other names.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from functools import cached_property
from typing import Any

import duckdb

from warehouse.engine.tested_versions import list_tested_minors, readers_path
from warehouse.rows import fetch_column, fetch_rows, fetch_value

LONGEST_STATEMENT = 100_000  # characters
MOST_COLUMNS = 1_000

_QUERIES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
_TABLES = {"SUBQUERY", "JOIN", "EXPRESSION_LIST", "EMPTY", "PIVOT", "BASE_TABLE", "SHOW_REF"}
_MODIFIERS = {"ORDER_MODIFIER", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "DISTINCT_MODIFIER"}
_ORDERS = {"ORDER_DEFAULT", "ASCENDING", "DESCENDING"}
_TYPES = re.compile(r"[A-Z]+(_[A-Z]+)*_TYPE_INFO")  # parts of a type
_EXPRESSIONS = {
    "BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT", "FUNCTION", "LAMBDA",
    "LAMBDA_REF", "OPERATOR", "POSITIONAL_REFERENCE", "STAR", "SUBQUERY", "TYPE", "WINDOW",
}  # fmt: skip
_SHOWN = {"", '"databases"', '"schemas"', '"tables"', "__show_tables_expanded"}  # what SHOW names without a table
_OF_THE_ENGINE = ("system", "temp")  # databases
_PIVOT = (
    "a PIVOT that would have to find its columns: name the values, as in: pivot mart.roof on dtype in ('fp16', 'bf16')"
)

_BLANK = r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)"
_EXPLAIN = re.compile(rf"{_BLANK}*explain(?P<how>{_BLANK}+analyze\b|{_BLANK}*\([\w\s,]*\))?(?P<what>.*)", re.I | re.S)
_HOW = {"analyze", "format", "text", "json", "html", "graphviz", "yaml", "mermaid"}
_PRAGMA = re.compile(rf"{_BLANK}*pragma{_BLANK}+(?P<what>.*?){_BLANK}*;?{_BLANK}*", re.I | re.S)


class KnownNames:
    """Names that statements on a snapshot may use: its own, and those of DuckDB that only read."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def has_function(self, name: str) -> bool:
        """Whether a function is known to only read."""
        return name in self._readers or name in self._own_functions

    def has_table_function(self, name: str) -> bool:
        """Whether a table function is known to only read."""
        return self.has_function(f"table {name}")

    @cached_property
    def tables(self) -> frozenset[str]:
        """Tables and views."""
        tables = "select table_name from duckdb_tables() where not internal"
        views = "select view_name from duckdb_views() where not internal"
        own = fetch_column(self._connection, f"{tables} union all {views}")
        return frozenset([*map(str.lower, own), *(name for _, name in self._views)])

    @cached_property
    def schemas(self) -> frozenset[str]:
        """Schemas and databases."""
        own = fetch_rows(self._connection, "select database_name, schema_name from duckdb_schemas()")
        of_the_engine = [*_OF_THE_ENGINE, *(schema for schema, _ in self._views)]
        return frozenset([*(name.lower() for row in own for name in row), *of_the_engine])

    @cached_property
    def _readers(self) -> frozenset[str]:
        path = readers_path()
        lines = path.read_text("utf-8").splitlines() if path else []
        return frozenset(line.lower() for line in lines if not line.startswith("# "))

    @cached_property
    def _views(self) -> list[list[str]]:
        return [line.removeprefix("view ").split(".") for line in self._readers if line.startswith("view ")]

    @cached_property
    def _own_functions(self) -> frozenset[str]:
        sql = "select function_name from duckdb_functions() where not internal"
        return frozenset(map(str.lower, fetch_column(self._connection, sql)))


def ask(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.DuckDBPyRelation | None:
    """Run a user's statements, which must only read, and return the result of the last.

    Raises
    ------
    duckdb.Error
        A statement cannot be run, or does more than read.
    """
    relation = None
    for text in list(check_statements(connection, sql, KnownNames(connection))):
        relation = connection.sql(text)
    if relation is not None and len(relation.columns) > MOST_COLUMNS:
        raise duckdb.InvalidInputException(f"{len(relation.columns)} columns; expected at most {MOST_COLUMNS}")
    return relation


def check_statements(connection: duckdb.DuckDBPyConnection, sql: str, known: KnownNames) -> Iterator[str]:
    """Yield the text of each statement to run, after deciding that exactly this text only reads.

    Raises
    ------
    duckdb.Error
        The text is not a statement, or does more than read.
    """
    if readers_path() is None:
        tested = " or ".join(list_tested_minors())
        raise duckdb.PermissionException(
            f"DuckDB {duckdb.__version__} was not tested for users' SQL; expected {tested}"
        )
    if len(sql) > LONGEST_STATEMENT:
        raise duckdb.PermissionException(f"{len(sql)} characters; expected at most {LONGEST_STATEMENT}")
    if not sql.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in sql):
        raise duckdb.InvalidInputException("the statement is not text; expected UTF-8")
    for statement in connection.extract_statements(sql):
        kind, text = _statement_kind(statement), statement.query
        if kind == "MULTI" or (kind in {"CREATE", "SELECT"} and not text.strip()):
            raise duckdb.PermissionException(_PIVOT)
        if kind == "EXPLAIN":
            yield _rebuild_explain(connection, text, known)
        else:
            text = _rewrite_pragma(text) if kind == "PRAGMA" else text
            _refuse_unless_reading(connection, text, known)
            yield text


def _statement_kind(statement: duckdb.Statement) -> str:
    try:
        return statement.type.name
    except ValueError:  # a kind that DuckDB's own client does not know
        return ""


def _rebuild_explain(connection: duckdb.DuckDBPyConnection, text: str, known: KnownNames) -> str:
    """Return an EXPLAIN of a statement that only reads, assembled from its parts."""
    parts = _EXPLAIN.fullmatch(text)
    how = re.findall(r"\w+", re.sub(_BLANK, " ", parts["how"] or "")) if parts else ["?"]
    if parts is None or not {word.lower() for word in how} <= _HOW:
        raise _refusal("this form of EXPLAIN")
    _refuse_unless_reading(connection, parts["what"], known)
    options = parts["how"].strip() if "(" in (parts["how"] or "") else " ".join(how)
    whole = f"explain {options} {parts['what']}"
    if [_statement_kind(each) for each in connection.extract_statements(whole)] != ["EXPLAIN"]:
        raise _refusal("this form of EXPLAIN")
    return whole


def _rewrite_pragma(text: str) -> str:
    """Return a PRAGMA as the query that it stands for, which is checked and run instead."""
    found = _PRAGMA.fullmatch(text)
    if found is None:
        raise _refusal("this form of PRAGMA")
    return f"select * from pragma_{found['what']}" + ("" if found["what"].endswith(")") else "()")


def _refuse_unless_reading(connection: duckdb.DuckDBPyConnection, text: str, known: KnownNames) -> None:
    """Raise `duckdb.PermissionException` unless a text is one query that only reads."""
    try:
        parsed = json.loads(fetch_value(connection, "select json_serialize_sql(?::varchar)", [text]))
        if parsed["error"] and parsed["error_type"] != "not implemented":
            raise duckdb.ParserException(f"Parser Error: {parsed['error_message']}")
        if parsed["error"] or len(parsed["statements"]) != 1:
            raise duckdb.PermissionException("the statement does more than read; expected one that reads")
        _visit(parsed["statements"][0], known, frozenset())
    except RecursionError:
        raise duckdb.PermissionException("the statement is nested too deeply; expected a simpler one") from None


def _visit(node: Any, known: KnownNames, shadowed: frozenset[str]) -> None:
    """Raise `duckdb.PermissionException` if a part of a parse is not known to only read.

    Parameters
    ----------
    node
        The part of the parse.
    known
        Names that it may use.
    shadowed
        Names of WITH queries in scope.
    """
    if isinstance(node, list):
        for part in node:
            _visit(part, known, shadowed)
    if not isinstance(node, dict):
        return
    kind = node.get("type")
    if "class" in node:
        if node["class"] not in _EXPRESSIONS:
            raise _refusal(f"an expression of the class {node['class']}")
        if node["class"] in {"FUNCTION", "WINDOW"}:
            _refuse_function(node, known, known.has_function)
    elif kind == "TABLE_FUNCTION":
        _refuse_function(node["function"], known, known.has_table_function)
        node = {**node, "function": list(node["function"].values())}  # its arguments
    elif isinstance(kind, str):
        _refuse_node(node, kind, known, shadowed)
    if node.get("at_clause"):
        raise _refusal("AT (VERSION …)")
    shadowed = _visit_with(node, known, shadowed)
    for name, part in node.items():
        if name != "cte_map":
            _visit(part, known, shadowed)


def _visit_with(node: Mapping[str, Any], known: KnownNames, shadowed: frozenset[str]) -> frozenset[str]:
    """Visit the queries of a WITH, each in the scope of those before it, and return the names in scope after it."""
    if node.get("type") == "RECURSIVE_CTE_NODE":
        shadowed |= {node["cte_name"].lower()}
    for named in (node.get("cte_map") or {}).get("map") or []:
        _visit(named["value"], known, shadowed)
        shadowed |= {named["key"].lower()}
    return shadowed | {node["cte_name"].lower()} if node.get("type") == "CTE_NODE" else shadowed


def _refuse_node(node: Mapping[str, Any], kind: str, known: KnownNames, shadowed: frozenset[str]) -> None:
    if kind == "BASE_TABLE":
        _refuse_table(_qualified_name(node, "table_name"), known, shadowed)
    elif kind == "SHOW_REF":
        _refuse_shown(node, known, shadowed)
    elif kind not in _QUERIES | _TABLES | _MODIFIERS | _ORDERS and not _TYPES.fullmatch(kind):
        raise _refusal(kind.removesuffix("_QUERY_NODE").removesuffix("_NODE").replace("_", " "))


def _refuse_function(node: Mapping[str, Any], known: KnownNames, is_known: Callable[[str], bool]) -> None:
    *schema, name = _qualified_name(node, "function_name") or [""]
    if not is_known(name.lower()) or not {part.lower() for part in schema} <= known.schemas:
        what = f"the function {'.'.join([*schema, name])} is not known to only read"
        raise duckdb.PermissionException(f"{what}; expected others")


def _refuse_table(path: list[str], known: KnownNames, shadowed: frozenset[str]) -> None:
    *schema, name = [part.lower() for part in path] or [""]
    is_known = name in known.tables and known.schemas.issuperset(schema)
    if not is_known and (schema or name not in shadowed):
        near = get_close_matches(name, known.tables | shadowed, n=1)
        hint = f"did you mean {near[0]}?" if near else "`rooflines schema` lists them"
        raise duckdb.CatalogException(f"Table with name {'.'.join(path)} does not exist; {hint}")


def _refuse_shown(node: Mapping[str, Any], known: KnownNames, shadowed: frozenset[str]) -> None:
    if node["show_type"] in {"DESCRIBE", "SUMMARY"} or (node["show_type"] == "SHOW" and node.get("query")):
        return  # of a query, which is visited itself
    name, schema = node.get("table_name") or "", node.get("schema_name") or ""
    if node["show_type"] == "SHOW":
        _refuse_table([part for part in (schema, name) if part], known, shadowed)
    elif schema.lower() not in known.schemas | {""} or name not in _SHOWN:
        raise _refusal(f"SHOW {name}")


def _qualified_name(node: Mapping[str, Any], field: str) -> list[str]:
    """Return the parts of a qualified name, which DuckDB 2 gives twice."""
    flat = [node.get("catalog_name") or node.get("catalog"), node.get("schema_name") or node.get("schema"), node[field]]
    names = [name for name in flat if name]
    qualified = node.get("qualified_name")
    if qualified and qualified.get("path", []) != names:
        raise _refusal(f"the name {'.'.join(names)}")
    return names


def _refusal(what: str) -> duckdb.PermissionException:
    return duckdb.PermissionException(f"{what} is not known to only read; expected a query")
