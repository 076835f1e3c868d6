"""Reading, without executing anything, the few plain lists that PyTables stores as pickles.

`pickle.loads` would run code of the file's author. PyTables pickles lists of column names; their opcodes are walked
here with `pickletools.genops`, which only decodes, and anything but lists, tuples, strings and integers is refused.
"""

import pickletools

__all__ = ["PickleRefusedError", "plain_list"]

_MARK = object()
_STRINGS = {"UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
_NUMBERS = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"}
_SILENT = {"PROTO", "FRAME", "STOP"}


class PickleRefusedError(ValueError):
    """The pickle holds more than plain lists, or is damaged."""


def plain_list(data: bytes) -> list:
    """Returns a pickled list of strings, integers, and lists or tuples of them.

    Raises:
      PickleRefusedError: if it is anything else.
    """
    stack: list = []
    memo: dict[int, object] = {}
    try:
        for opcode, argument, _ in pickletools.genops(data):
            _step(opcode.name, argument, stack, memo)
    except (ValueError, IndexError, KeyError, AttributeError, TypeError) as err:
        raise PickleRefusedError(str(err)) from err
    if len(stack) != 1 or not isinstance(stack[0], list):
        raise PickleRefusedError("no list")
    return stack[0]


def _step(name: str, argument: object, stack: list, memo: dict) -> None:
    if name in _STRINGS or name in _NUMBERS:
        stack.append(argument)
    elif name == "NONE":
        stack.append(None)
    elif name == "MARK":
        stack.append(_MARK)
    elif name == "EMPTY_LIST":
        stack.append([])
    elif name == "EMPTY_TUPLE":
        stack.append(())
    elif name in ("LIST", "TUPLE"):
        items = _since_mark(stack)
        stack.append(items if name == "LIST" else tuple(items))
    elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
        count = int(name[-1])
        stack[-count:] = [tuple(stack[-count:])]
    elif name == "APPEND":
        item = stack.pop()
        stack[-1].append(item)
    elif name == "APPENDS":
        items = _since_mark(stack)
        stack[-1].extend(items)
    elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
        memo[argument] = stack[-1]
    elif name == "MEMOIZE":
        memo[len(memo)] = stack[-1]
    elif name in ("GET", "BINGET", "LONG_BINGET"):
        stack.append(memo[argument])
    elif name not in _SILENT:
        raise ValueError(f"opcode {name} is not allowed")


def _since_mark(stack: list) -> list:
    at = len(stack) - 1 - stack[::-1].index(_MARK)
    items = stack[at + 1 :]
    del stack[at:]
    return items
