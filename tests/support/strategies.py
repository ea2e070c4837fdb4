"""What hypothesis draws: values, names and packets that peers may send each other."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from telex.parser.packet import RESERVED_EVENTS
from tests.support.values import is_a

SAFE_INTEGER = 2**53 - 1
"""The largest integer that JavaScript keeps exact."""

TEXT_SAMPLES = ("", "é中😀", "\x00\x1e\u2028\u2029", "<script>", "\\n\n", "b4", "NESCAFÉ® Spaß»")

texts = st.one_of(st.text(), st.sampled_from(TEXT_SAMPLES))
"""Well-formed text, with what has broken codecs before."""

integers = st.integers(-SAFE_INTEGER, SAFE_INTEGER)
floats = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.one_of(st.none(), st.booleans(), integers, floats, texts)

# The JavaScript parsers lose what stands under "__proto__" when they copy an object.
keys = texts.filter(lambda key: key not in ("__proto__", "_placeholder"))


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Arrays and objects of `leaves`."""
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4)
        ),
        max_leaves=8,
    )


json_values = nested(scalars)
values = nested(st.one_of(scalars, st.binary(max_size=20)))
"""What users may emit: JSON with binary data at any depth."""

event_names = texts.filter(lambda name: name not in RESERVED_EVENTS)
arguments = st.lists(values, max_size=4)
events = st.tuples(event_names, arguments).map(lambda event: [event[0], *event[1]])

namespaces = st.one_of(
    st.just("/"),
    st.sampled_from(["/chat", "/1-2", "/a?b=c", "/中文", "/[0]", '/"{']),
    st.text(st.characters(exclude_characters=",", exclude_categories=["Cs"]), max_size=20).map(
        "/{}".format
    ),
)
ack_ids = st.one_of(st.none(), st.sampled_from([0, 10**16 - 1]), st.integers(0, 10**16 - 1))


def binary_in(value: Any) -> list[bytes]:
    """The binary data inside a value, in the order in which it is encoded."""
    if is_a(value, bytes):
        return [value]
    if is_a(value, list):
        return [data for item in value for data in binary_in(item)]
    if is_a(value, dict):
        return [data for item in value.values() for data in binary_in(item)]
    return []
