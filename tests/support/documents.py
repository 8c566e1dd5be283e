"""The documents: their code blocks, their links, and what their tables say."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.files import ROOT

README = (ROOT / "README.md").read_text("utf-8")
FOLDERS = ("flows", "sql", "warehouse", "charts", "tests")

_BLOCK = re.compile(
    r"(?:^<!-- (?P<marker>[^\n]*) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_HERE = re.compile(r"<<'(?P<end>\w+)'$")


def list_documents() -> list[Path]:
    """Return the documents that people read, README.md first."""
    in_folders = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("README.md"))]
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *in_folders]


@dataclass(frozen=True)
class Block:
    """A block of code in a document, and the comment above it that says how it is tested."""

    document: str
    line: int
    language: str
    text: str
    marker: str

    @property
    def name(self) -> str:
        return f"{self.document}:{self.line}"


@dataclass(frozen=True)
class Example:
    """A command in a block, what it reads on standard input, and what it prints."""

    arguments: tuple[str, ...]
    stdin: str
    output: str


def list_blocks() -> list[Block]:
    """Return every block of code of every document."""
    blocks = []
    for path in list_documents():
        text = path.read_text("utf-8")
        for found in _BLOCK.finditer(text):
            line = text.count("\n", 0, found.start("language")) + 1
            document = path.relative_to(ROOT).as_posix()
            blocks.append(Block(document, line, found["language"], found["text"], found["marker"] or ""))
    return blocks


def read_examples(block: Block) -> list[Example]:
    """Return the commands of a console block: each begins with `$`, and may go on over several lines."""
    parts = re.split(r"^\$ ", block.text, flags=re.MULTILINE)
    assert parts[0] == "", f"{block.name}: expected a block that begins with a command"
    return [_read_example(part.splitlines()) for part in parts[1:]]


def _read_example(lines: list[str]) -> Example:
    command, rest = lines[0], lines[1:]
    while not _is_closed(command):
        command, rest = f"{command}\n{rest[0]}", rest[1:]
    stdin = ""
    if here := _HERE.search(command):
        end = rest.index(here["end"])
        stdin, rest = "".join(f"{line}\n" for line in rest[:end]), rest[end + 1 :]
        command = command[: here.start()]
    return Example(tuple(shlex.split(command)), stdin, "\n".join(rest))


def _is_closed(command: str) -> bool:
    try:
        shlex.split(command)
    except ValueError:
        return False
    return True


def parse_commands(block: Block) -> Iterator[list[str]]:
    """Yield the arguments of each `rooflines` in a block of shell commands."""
    for line in block.text.splitlines():
        for part in re.split(r"&&|;", line):
            words = shlex.split(part, comments=True)
            if words[:1] == ["rooflines"]:
                yield words[1:]


def strip_blocks(text: str) -> str:
    """Return the prose of a document."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def split_cells(text: str) -> list[str]:
    """What a table says, however its lines are drawn."""
    return re.findall(r"[^\s│┌┐└┘├┤┬┴┼─]+", text)
