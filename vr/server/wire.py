"""Between JSON-able documents and messages: one rule for all of them, taken from the messages' own descriptors.

An enumeration's value `VERDICT_APPROVE` is `"approve"` in a document. An absent optional field is null there.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from google.protobuf import json_format, struct_pb2
from google.protobuf.message import Message

__all__ = ["enum_of", "fill", "to_document", "to_message"]

M = TypeVar("M", bound=Message)
# Of descriptors there are two implementations, so that they are annotated as Any.
_MAYBE = "vr.v1.MaybeNumber"
_JSON = {"google.protobuf.Struct", "google.protobuf.Value"}


def to_message(document: Mapping[str, Any], kind: type[M], *, strict: bool = False) -> M:
    """Returns a document as a message of `kind`.

    Args:
      document: JSON-able values; null leaves a field absent.
      kind: The message's class.
      strict: Refuse keys that the message has no field for, which are else left out.

    Raises:
      ValueError: for a value that does not fit its field, and with `strict` for a key without a field.
    """
    message = kind()
    fill(message, document, strict=strict)
    return message


def fill(message: Message, document: Mapping[str, Any], *, strict: bool = False) -> None:
    """Sets a message's fields from a document; see `to_message`."""
    fields = message.DESCRIPTOR.fields_by_name
    if strict and (unknown := sorted(set(document) - set(fields))):
        raise ValueError(f"{message.DESCRIPTOR.full_name} has no field {', '.join(unknown)}")
    for name, value in document.items():
        if name in fields and value is not None:
            _set(message, fields[name], value, strict)


def _set(message: Message, field: Any, value: Any, strict: bool) -> None:
    if _is_map(field):
        _set_map(getattr(message, field.name), field.message_type, value, strict)
    elif field.is_repeated:
        items = getattr(message, field.name)
        for item in value:
            if field.message_type is None:
                items.append(_scalar(field, item))
            else:
                _set_message(items.add(), item, strict)
    elif field.message_type is not None:
        inner = getattr(message, field.name)
        inner.SetInParent()
        _set_message(inner, value, strict)
    else:
        setattr(message, field.name, _scalar(field, value))


def _set_map(entries: Any, entry: Any, value: Mapping[str, Any], strict: bool) -> None:
    of = entry.fields_by_name["value"]
    for key, item in value.items():
        if of.message_type is None:
            entries[key] = _scalar(of, item)
        else:
            # Asking for the entry makes it, though it may stay empty.
            _set_message(entries[key], item, strict)


def _set_message(message: Message, value: Any, strict: bool) -> None:
    name = message.DESCRIPTOR.full_name
    if name in _JSON:
        json_format.ParseDict(value, message)
    elif name == _MAYBE:
        if value is not None:
            message.value = value  # type: ignore[attr-defined]
    elif isinstance(value, list):
        # Figures of an error card are bare lists in the document.
        message.values.extend(value)  # type: ignore[attr-defined]
    elif message.DESCRIPTOR.name == "Figures":
        fill(message, {"figures": value}, strict=strict)
    else:
        fill(message, value, strict=strict)


def _scalar(field: Any, value: Any) -> Any:
    if field.enum_type is None:
        return value
    return enum_of(field.enum_type, str(value))


def enum_of(enum: Any, word: str) -> int:
    """Returns the number of an enumeration's value from its word in a document."""
    found = enum.values_by_name.get(f"{_prefix(enum)}{word.upper()}")
    if found is None:
        raise ValueError(f"{enum.full_name} has no value for {word!r}")
    return found.number


def _prefix(enum: Any) -> str:
    first = enum.values[0].name
    return first.removesuffix("UNSPECIFIED")


def to_document(message: Message) -> Any:
    """Returns a message as JSON-able values: absent optional fields as None, whole numbers of a Struct as int."""
    name = message.DESCRIPTOR.full_name
    if name in _JSON:
        return _json(message)
    if name == _MAYBE:
        return message.value if message.HasField("value") else None  # type: ignore[attr-defined]
    if message.DESCRIPTOR.name == "Figure":
        return list(message.values)  # type: ignore[attr-defined]
    if message.DESCRIPTOR.name == "Figures":
        return {key: to_document(value) for key, value in message.figures.items()}  # type: ignore[attr-defined]
    return {
        field.name: _value(message, field)
        for field in message.DESCRIPTOR.fields
        # A number that may be unknown is there or not; that alone is its meaning.
        if not (field.message_type is not None and field.message_type.full_name == _MAYBE and not field.is_repeated)
        or message.HasField(field.name)
    }


def _value(message: Message, field: Any) -> Any:
    value = getattr(message, field.name)
    if _is_map(field):
        of = field.message_type.fields_by_name["value"]
        # Maps come in no order of their own.
        return {key: value[key] if of.message_type is None else to_document(value[key]) for key in sorted(value)}
    if field.is_repeated:
        return [_plain(field, item) for item in value]
    if field.has_presence and not message.HasField(field.name):
        return None
    return _plain(field, value)


def _plain(field: Any, value: Any) -> Any:
    if field.message_type is not None:
        return to_document(value)
    if field.enum_type is not None:
        # A value of a newer server has no name here.
        found = field.enum_type.values_by_number.get(value)
        return None if found is None or found.number == 0 else found.name.removeprefix(_prefix(field.enum_type)).lower()
    return value


def _json(message: Message) -> Any:
    if isinstance(message, struct_pb2.Struct):
        return {key: _json(value) for key, value in message.fields.items()}
    kind = message.WhichOneof("kind")  # type: ignore[attr-defined]
    if kind == "struct_value":
        return _json(message.struct_value)  # type: ignore[attr-defined]
    if kind == "list_value":
        return [_json(value) for value in message.list_value.values]  # type: ignore[attr-defined]
    if kind == "number_value":
        number = message.number_value  # type: ignore[attr-defined]
        return int(number) if number.is_integer() and abs(number) < 2**53 else number
    return None if kind in (None, "null_value") else getattr(message, kind)


def _is_map(field: Any) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry
