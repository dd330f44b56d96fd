"""What the desk's forms may say; anything else is refused with a sentence and the analyst's text kept."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from pipeline.model import COUNT_MAX
from pipeline.report.desk.words import NOTE_MAX

Reason = Literal["", "cloud", "snow", "shift", "construction", "containers", "other"]


class SignedForm(BaseModel):
    """Every form carries the session's own secret."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    csrf: Annotated[str, StringConstraints(max_length=200)] = ""


class EnterForm(BaseModel):
    """Exchange of a one-time token for a session."""

    model_config = ConfigDict(extra="forbid")

    token: Annotated[str, StringConstraints(max_length=200)] = ""
    name: Annotated[str, StringConstraints(max_length=200)] = ""


class WordForm(SignedForm):
    """A word on a surge or on the count of a look."""

    form_id: UUID  # of the form as it was shown; the same content on it twice is one word
    seen: Annotated[str, StringConstraints(max_length=100)] = ""  # the newest word when the form was shown
    decision: Literal["confirm", "reject", "correct", "note", "undo"] | None = None
    reason: Reason = ""
    note: Annotated[str, StringConstraints(max_length=NOTE_MAX)] = ""
    how: Literal["clicked", "typed"] = "typed"
    railcars: Annotated[float, Field(ge=0, le=COUNT_MAX)] | None = None
    car: list[Annotated[int, Field(ge=0, le=10_000)]] = Field(default_factory=list, max_length=2 * COUNT_MAX)
    missed: Annotated[int, Field(ge=0, le=COUNT_MAX)] = 0
