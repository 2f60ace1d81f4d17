"""Rules of the house that no linter knows: sizes of files and functions, and what tests may not do."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

_FILE_LINES = 400
_FUNCTION_LINES = 50
_SLEEP = re.compile(r"\btime\.sleep\(\s*(0\.(0[6-9]|[1-9])|[1-9])")


def problems() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found = []
    for name in listed.stdout.split():
        path = Path(name)
        if path.exists() and "_pb2" not in name:
            found += _of_file(path)
    return found


def _of_file(path: Path) -> list[str]:
    text = path.read_text()
    lines = text.splitlines()
    found = [f"{path}: {len(lines)} lines, {_FILE_LINES} are allowed"] if len(lines) > _FILE_LINES else []
    found += [f"{path}:{number}: a fixed sleep" for number, line in enumerate(lines, 1) if _SLEEP.search(line)]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            if length > _FUNCTION_LINES:
                found.append(f"{path}:{node.lineno}: {node.name} has {length} lines, {_FUNCTION_LINES} are allowed")
    return found


if __name__ == "__main__":
    sys.exit("\n".join(problems()) or None)
