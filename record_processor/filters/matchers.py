r"""What a pattern says of one value, as ruler reads and compares it.

ruler knows a value as text: a string in quotes, in which nothing is escaped, a number, `true`, `false` and
`null` as they are written. So the prefix `ab"` matches the string `ab`.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from record_processor.filters.json_tree import JsonNumber, JsonObject, as_list, as_string, is_string, shown

Matches: TypeAlias = Callable[[str], bool]
"""Takes a value in ruler's text."""

Matcher: TypeAlias = "Matches | None"
"""None: there must be no value."""

_ONE_KEY: Final = "Only one key allowed in match expression"
_TOO_MANY: Final = "Too many elements in numeric expression"


def matcher(value: object) -> Matcher:
    """Read an element of a list in a pattern. Raises ValueError with ruler's reason."""
    if isinstance(value, JsonObject):
        return _expression(value)
    if isinstance(value, JsonNumber):
        return _number_literal(value)
    if isinstance(value, str):
        return _string_literal(value)
    if isinstance(value, list):
        raise ValueError("Match value must be String, number, true, false, or null")  # noqa: TRY004
    return json.dumps(value).__eq__


def _expression(members: JsonObject) -> Matcher:
    name, value = _first(members, "Match expression name not found")
    if name not in _EXPRESSIONS:
        raise ValueError(shown(f"Unrecognized match type {name}"))
    matches = _EXPRESSIONS[name](value)
    _check_single(members, _TOO_MANY if name in {"numeric", "anything-but"} else _ONE_KEY)
    return matches


def _first(members: JsonObject, complaint: str) -> tuple[str, object]:
    if not members:
        raise ValueError(complaint)
    return members[0]


def _check_single(members: JsonObject, complaint: str) -> None:
    if len(members) > 1:
        raise ValueError(complaint)


def _exists(value: object) -> Matcher:
    if not isinstance(value, bool):
        raise ValueError("exists match pattern must be either true or false.")  # noqa: TRY004
    return (lambda _: True) if value else None


# --- Strings ---


def _string_literal(text: str) -> Matches:
    address = _address(text)
    return f'"{text}"'.__eq__ if address is None else _address_between(address, address)


def _exactly(value: object) -> Matches:
    return f'"{as_string(value, "exact match pattern must be a string")}"'.__eq__


def _prefix(value: object) -> Matches:
    if isinstance(value, JsonObject):
        start = re.compile(_in_either_case('"' + _ignoring_case(value, "prefix")))
        return lambda value: start.match(value) is not None
    return _starting_with(as_string(value, "prefix match pattern must be a string"))


def _suffix(value: object) -> Matches:
    if isinstance(value, JsonObject):
        end = re.compile(_in_either_case(_ignoring_case(value, "suffix") + '"') + r"\Z")
        return lambda value: end.search(value) is not None
    return _ending_with(as_string(value, "suffix match pattern must be a string"))


def _ignoring_case(members: JsonObject, what: str) -> str:
    name, value = _first(members, f"{what.title()} expression name not found")
    if name != "equals-ignore-case":
        raise ValueError(shown(f"Unsupported {what} pattern: {name}"))
    text = as_string(value, "equals-ignore-case match pattern must be a string")
    _check_single(members, _ONE_KEY)
    return text


def _starting_with(text: str) -> Matches:
    return lambda value: value.startswith('"' + text)


def _ending_with(text: str) -> Matches:
    return lambda value: value.endswith(text + '"')


def _equals_ignore_case(value: object) -> Matches:
    return _equal_ignoring_case(as_string(value, "equals-ignore-case match pattern must be a string"))


def _equal_ignoring_case(text: str) -> Matches:
    whole = re.compile(_in_either_case(f'"{text}"'))
    return lambda value: whole.fullmatch(value) is not None


def _in_either_case(text: str) -> str:
    """EqualsIgnoreCaseParser: a character is as its lower case or as its upper case, not as itself."""
    return "".join(f"(?:{re.escape(char.lower())}|{re.escape(char.upper())})" for char in text)


_WILDCARD_TOKEN: Final = re.compile(r"(?P<char>[^*\\]|\\[*\\])|(?P<any>\*(?!\*))|(?P<wrong>.)")


def _wildcard(value: object) -> Matches:
    return _like(as_string(value, "wildcard match pattern must be a string"))


def _like(text: str) -> Matches:
    r"""WildcardParser: `*` is any text; `\*` and `\\` are an asterisk and a backslash."""
    quoted, pieces = f'"{text}"', [""]
    for token in _WILDCARD_TOKEN.finditer(quoted):
        if token["wrong"]:
            what = "Consecutive wildcard characters" if token["wrong"] == "*" else "Invalid escape character"
            raise ValueError(f"{what} at pos {len(quoted[: token.start()].encode('utf-8', 'replace'))}")
        if token["any"]:
            pieces.append("")
        else:
            pieces[-1] += token["char"][-1]
    return lambda value: _consists_of(value, pieces)


def _consists_of(value: str, pieces: Sequence[str]) -> bool:
    """Tell whether a text is these pieces with anything between them."""
    if len(pieces) == 1:
        return value == pieces[0]
    first, *middle, last = pieces
    position, end = len(first), len(value) - len(last)
    if position > end or not value.startswith(first) or not value.endswith(last):
        return False
    for piece in middle:
        found = value.find(piece, position, end)
        if found < 0:
            return False
        position = found + len(piece)
    return True


_NOT_A_VALUE: Final = "Value of anything-but must be an array or single string/number value."


def _anything_but(value: object) -> Matches:
    if isinstance(value, JsonObject):
        return _anything_but_expression(value)
    values = _one_or_more(value)
    if not all(isinstance(each, str) for each in values):
        raise ValueError("Inside anything but list, start|null|boolean is not supported.")
    numbers = {_comparable(float(each)) for each in values if isinstance(each, JsonNumber)}
    strings = {f'"{each}"' for each in values if is_string(each)}
    if bool(numbers) == bool(strings):
        raise ValueError(
            "Inside anything but list, either all values are number or string, mixed type is not supported"
        )
    return (lambda value: value not in strings) if strings else (lambda value: _number(value) not in numbers)


_ANYTHING_BUT: Final[Mapping[str, tuple[Callable[[str], Matches], str]]] = {
    "equals-ignore-case": (
        _equal_ignoring_case,
        "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.",
    ),
    "prefix": (_starting_with, "prefix/suffix match pattern must be a string"),
    "suffix": (_ending_with, "prefix/suffix match pattern must be a string"),
    "wildcard": (_like, "wildcard match pattern must be a string"),
}


def _anything_but_expression(members: JsonObject) -> Matches:
    name, value = _first(members, "Anything-But expression name not found")
    if name not in _ANYTHING_BUT:
        raise ValueError(shown(f"Unsupported anything-but pattern: {name}"))
    make, complaint = _ANYTHING_BUT[name]
    texts = [as_string(each, complaint) for each in _one_or_more(value)]
    if name in {"prefix", "suffix"} and "" in texts:
        raise ValueError("Null prefix/suffix not allowed")
    excluded = [make(text) for text in texts]
    _check_single(members, _TOO_MANY)
    return lambda value: not any(matches(value) for matches in excluded)


def _one_or_more(value: object) -> list[object]:
    return [value] if isinstance(value, str) else as_list(value, _NOT_A_VALUE)


# --- Addresses ---

_IPV4: Final = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+")
_IPV6: Final = re.compile(r"[0-9a-fA-F:]*")  # with a colon in it
_LONGEST_IPV4: Final = 15
_ZEROS_IN_FRONT: Final = re.compile(r"(?<![0-9a-fA-F])0+(?=[0-9a-fA-F])")


def _cidr(value: object) -> Matches:
    """CIDR.cidr: an address, a slash, and how many bits all the addresses have in common."""
    address, bits = _split_cidr(as_string(value, "prefix match pattern must be a string"))
    digits = _address(address)
    if digits is None:
        kind = "Invalid" if _IPV4.fullmatch(address) or _is_like_ipv6(address) else "Nonstandard"
        raise ValueError(shown(f"{kind} IP address: {address}"))
    length = 4 * len(digits)
    if bits >= length:
        raise ValueError(f"{'IPv4' if length == 32 else 'IPv6'} mask bits must be < {length}")
    others = (1 << length - bits) - 1
    bottom = int(digits, 16) & ~others
    return _address_between(f"{bottom:0{len(digits)}X}", f"{bottom | others:0{len(digits)}X}")


def _split_cidr(text: str) -> tuple[str, int]:
    address, slash, bits = text.rstrip("/").partition("/")
    if not slash or "/" in bits:
        raise ValueError("Malformed CIDR, one '/' required")
    if not re.fullmatch(r"[+-]?[0-9]+", bits) or not -(2**31) <= int(bits) < 2**31:
        raise ValueError("Malformed CIDR, mask bits must be an integer")
    if int(bits) < 0:
        raise ValueError("Malformed CIDR, mask bits must not be negative")
    return address, int(bits)


def _address_between(bottom: str, top: str) -> Matches:
    """Compare digit by digit until it is clear, as ruler does: so some of IPv6 is in ranges of IPv4."""

    def matches(value: str) -> bool:
        digits = (_address(value[1:-1]) or "")[: len(bottom)] if value.startswith('"') else ""
        if bottom[: len(digits)] < digits < top[: len(digits)]:
            return True
        return len(digits) == len(bottom) and bottom <= digits <= top

    return matches


def _address(text: str) -> str | None:
    """Return the 8 or 32 hexadecimal digits of an address, None if it is none (InetAddress.getByName)."""
    if _IPV4.fullmatch(text) and len(text) <= _LONGEST_IPV4:
        parts = [int(part) for part in text.split(".")]
        return "".join(f"{part:02X}" for part in parts) if max(parts) <= 255 else None
    if not _is_like_ipv6(text):
        return None
    try:
        address = ipaddress.IPv6Address(_ZEROS_IN_FRONT.sub("", text))
    except ValueError:
        return None
    return (address.ipv4_mapped or address).packed.hex().upper()


def _is_like_ipv6(text: str) -> bool:
    return ":" in text and _IPV6.fullmatch(text) is not None


# --- Numbers ---

_LIMIT: Final = 5e9


def _comparable(number: float) -> int:
    """ComparableNumber.generate: a double in whole millionths above the smallest. Raises ValueError."""
    if not -_LIMIT <= number <= _LIMIT:
        raise ValueError("Value must be between -5.0E9 and 5.0E9, inclusive")
    return int(1e6 * (_LIMIT + number))


def _number(value: str) -> int | None:
    """Return a value's number, None if it is none or out of range."""
    try:
        return _comparable(float(value))
    except ValueError:
        return None


def _number_literal(literal: JsonNumber) -> Matches:
    """Compare numbers; what is out of range compares as it is written."""
    number = _number(literal)
    return literal.__eq__ if number is None else (lambda value: _number(value) == number)


def _numeric(value: object) -> Matches:
    terms = as_list(value, "Value of numeric must be an array.")
    if not terms or not is_string(terms[0]):
        raise ValueError(shown(f"Invalid member in numeric match: {_token(terms)}"))
    operator, *rest = terms
    if operator not in {"=", "<", "<=", ">", ">="}:
        raise ValueError(shown(f"Unrecognized numeric range operator: {operator}"))
    number = _operand(rest, "equals" if operator == "=" else operator)
    if operator in {">", ">="} and len(rest) > 1:
        return _complete_range(number, operator == ">", rest[1:])
    if len(rest) > 1:
        raise ValueError(_TOO_MANY)
    if operator == "=":
        return _between(_comparable(number), _comparable(number))
    if operator in {">", ">="}:
        return _range(number, operator == ">", _LIMIT, False)
    return _range(-_LIMIT, False, number, operator == "<")


def _complete_range(bottom: float, is_open: bool, terms: Sequence[object]) -> Matches:
    operator, *rest = terms
    if not is_string(operator):
        raise ValueError(shown(f"Bad value in numeric range: {_token(terms)}"))
    if operator not in {"<", "<="}:
        raise ValueError(shown(f"Bad numeric range operator: {operator}"))
    top = _operand(rest, str(operator))
    if len(rest) > 1:
        raise ValueError("Too many terms in numeric range expression")
    return _range(bottom, is_open, top, operator == "<")


def _operand(terms: Sequence[object], operator: str) -> float:
    if not terms or not isinstance(terms[0], JsonNumber):
        raise ValueError(f"Value of {operator} must be numeric")
    return float(terms[0])


def _range(bottom: float, is_open_below: bool, top: float, is_open_above: bool) -> Matches:
    complaint = "Bottom must be less than top"
    if bottom >= top:
        raise ValueError(complaint)
    low, high = _comparable(bottom), _comparable(top)
    if low == high:  # it ends ruler in an ArrayIndexOutOfBoundsException
        raise ValueError(complaint)
    return _between(low + is_open_below, high - is_open_above)


def _between(low: int, high: int) -> Matches:
    def matches(value: str) -> bool:
        number = _number(value)
        return number is not None and low <= number <= high

    return matches


def _token(terms: Sequence[object]) -> str:
    """Return what Jackson calls the text of the next token."""
    if not terms:
        return "]"
    if isinstance(terms[0], JsonObject | list):
        return "{" if isinstance(terms[0], JsonObject) else "["
    return terms[0] if isinstance(terms[0], str) else json.dumps(terms[0])


_EXPRESSIONS: Final[Mapping[str, Callable[[object], Matcher]]] = {
    "exactly": _exactly,
    "prefix": _prefix,
    "suffix": _suffix,
    "equals-ignore-case": _equals_ignore_case,
    "wildcard": _wildcard,
    "anything-but": _anything_but,
    "numeric": _numeric,
    "exists": _exists,
    "cidr": _cidr,
}
