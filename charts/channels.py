"""Channels that many layers and charts share. Altair would write each of them again for every layer."""

from typing import Any, TypeVar

import altair as alt

C = TypeVar("C", bound=alt.SchemaBase)


def write_once(channel: C) -> C:
    """Return a channel that Altair writes once, whatever it is a part of.

    It is not to be changed afterwards, and states the type of its field.
    """
    written = channel.to_dict(validate=False)
    object.__setattr__(channel, "to_dict", lambda **_: written)
    return channel


def tooltip(field: str, **look: Any) -> alt.Tooltip:
    """Return a line of a tooltip."""
    return write_once(alt.Tooltip(field, **look))
