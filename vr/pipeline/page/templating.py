"""The templates of the page, compiled once: that takes longer than to fill them."""

from functools import cache
from typing import Any

import jinja2
from jinja2.bccache import Bucket, BytecodeCache

from vr.core.user_cache import recall, remember
from vr.pipeline.page.text import clip, count, number

__all__ = ["environment"]

_KIND = "pages"
_SETTINGS: dict[str, Any] = {
    "autoescape": True,
    "undefined": jinja2.StrictUndefined,
    "trim_blocks": True,
    "lstrip_blocks": True,
}


@cache
def environment() -> jinja2.Environment:
    """Returns what loads templates by name, with the filters that they use."""
    loader = jinja2.PackageLoader("vr.pipeline.page", "templates")
    made = jinja2.Environment(loader=loader, bytecode_cache=_Compiled(), **_SETTINGS)
    made.filters |= {"count": count, "number": number, "clip": clip}
    return made


class _Compiled(BytecodeCache):
    """Templates in the user's cache; a bucket knows its template's text and Python's version by itself."""

    def load_bytecode(self, bucket: Bucket) -> None:
        if (kept := recall(_KIND, _key(bucket))) is not None:
            bucket.bytecode_from_string(kept)

    def dump_bytecode(self, bucket: Bucket) -> None:
        remember(_KIND, _key(bucket), bucket.bytecode_to_string())


def _key(bucket: Bucket) -> str:
    return f"{bucket.key} {jinja2.__version__} {_SETTINGS}"
