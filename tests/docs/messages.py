"""What the driver can say, read from its source, and whether a sentence is one of those.

A message in the source is literal text with holes in it. A sentence is the driver's if a message has all of its words,
and what is in the holes is a value (one word, or `<something>`), or by the same rule another message.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

_SOURCE = Path(__file__).parents[2] / "csi_solidfire"
_VALUE = re.compile(r"([^\s<>]|<[^<>]+>)*")
# Letters of literal text. Messages with less of it hold others together, as f"{where}: {problem}" does.
_WORDY = 6

_Pieces = tuple[str, ...]


class Message(NamedTuple):
    """A string of the source.

    Attributes:
        pieces: Its literal text; between any two of them is a hole.
        letters: How many of its characters are letters.
    """

    pieces: _Pieces
    letters: int

    @property
    def joins_with_words(self) -> bool:
        """Whether it has nothing of its own but a blank or a little word: f"{key} {problem}" would be any sentence."""
        return self.letters < _WORDY and not any(mark in piece for piece in self.pieces for mark in ":;(")


def is_the_drivers(sentence: str) -> bool:
    """Tell whether the driver says this."""
    return bool(_letters(sentence, joined=True))


@cache
def _source() -> frozenset[_Pieces]:
    """Return all strings of the driver's source but docstrings."""
    files = [file for file in _SOURCE.rglob("*.py") if "pb" not in file.relative_to(_SOURCE).parts]
    return frozenset(pieces for file in files for pieces in _strings(ast.parse(file.read_text())))


@cache
def _messages() -> tuple[Message, ...]:
    """Return the strings that more than one word can come of."""
    messages = [Message(pieces, sum(map(str.isalpha, "".join(pieces)))) for pieces in _source()]
    return tuple(m for m in messages if " " in "".join(m.pieces) and (m.letters >= _WORDY or len(m.pieces) > 1))


def _strings(tree: ast.AST) -> Iterator[_Pieces]:
    """Yield the strings of a tree, each as a whole."""
    if (pieces := _pieces(tree)) is not None:
        yield pieces
    for child in ast.iter_child_nodes(tree):
        is_part = pieces is not None and isinstance(child, ast.Constant | ast.BinOp)
        if not is_part and not (isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)):
            yield from _strings(child)


def _pieces(node: ast.AST) -> _Pieces | None:
    """Return a string's literal text; None if the node is not known to be one."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return (node.value,)
    if isinstance(node, ast.JoinedStr):
        parts = [_pieces(part) for part in node.values]
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        parts = [_pieces(node.left), _pieces(node.right)]
        if not any(parts):
            return None
    else:
        return None
    whole = [""]
    for part in parts:
        first, *rest = part or ("", "")
        whole = [*whole[:-1], whole[-1] + first, *rest]
    # Two holes side by side are one.
    return (whole[0], *filter(None, whole[1:-1]), *whole[1:][-1:])


@cache
def _letters(text: str, *, joined: bool) -> int | None:
    """Return how many letters of a text are the driver's own words; None if it cannot be read so.

    Args:
        joined: Whether it may be what a blank or a little word joins.
    """
    best = 0 if _VALUE.fullmatch(text) else None
    for message in _messages():
        joins = message.joins_with_words
        if (joins and not joined) or not all(piece in text for piece in message.pieces):
            continue
        for holes in _holes(text, message.pieces):
            if joins and not all(_is_named(hole) for hole in holes[:-1]):
                continue
            found = [_letters(hole, joined=not joins) for hole in holes]
            if None in found or (joins and not found[-1]):
                continue
            own = message.letters if message.letters >= _WORDY else 0
            best = max(best or 0, own + sum(letters or 0 for letters in found))
    return best


def _is_named(text: str) -> bool:
    """Tell whether a text is `<something>` or a word of the driver's: a key, a field."""
    return bool(re.fullmatch(r"<[^<>]+>", text)) or (text,) in _source()


def _holes(text: str, pieces: _Pieces) -> Iterator[tuple[str, ...]]:
    """Yield all ways to fill the holes between the pieces so that they become the text."""
    if text.startswith(pieces[0]):
        yield from _filled(text.removeprefix(pieces[0]), pieces[1:])


def _filled(text: str, pieces: _Pieces) -> Iterator[tuple[str, ...]]:
    """Yield the same for text that begins with a hole; without pieces there is none."""
    if not pieces:
        if not text:
            yield ()
        return
    piece, *later = pieces
    if not later:
        if text.endswith(piece):
            yield (text.removesuffix(piece),)
        return
    at = text.find(piece)
    while at >= 0:
        for rest in _filled(text[at + len(piece) :], tuple(later)):
            yield (text[:at], *rest)
        at = text.find(piece, at + 1) if at < len(text) else -1
