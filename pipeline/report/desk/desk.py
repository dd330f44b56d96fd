"""The desk itself, without HTTP: reads the site's record, takes words, and says what a page needs."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from pipeline.model import Observation, Surge, Verdict
from pipeline.report.desk import picture
from pipeline.report.desk.data import DeskData
from pipeline.report.desk.evidence import Frame, Mark, first_pair, frame_of, marks, offered, part_of
from pipeline.report.desk.forms import WordForm
from pipeline.report.desk.queue import Row, queue
from pipeline.report.desk.words import Decision, Subject, Word, about, clean, history, speak, standing

RECORDED: dict[str, str] = {
    "confirm": "Your confirmation is recorded.",
    "reject": "Your rejection is recorded.",
    "correct": "Your number is recorded.",
    "note": "Your note is recorded.",
    "undo": "The decision is taken back; that is recorded too.",
}
PICTURES_KEPT = 64  # rendered chips held in memory


class NotHereError(LookupError):
    """The thing asked for is not in the site's record."""


class UnsaidError(ValueError):
    """A word could not be taken; the sentence says why and what to do."""

    def __init__(self, sentence: str, status: int = 422) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True, slots=True)
class Panel:
    """The words on one subject and the form for another one."""

    subject: Subject
    subject_id: str
    place: str  # address of the subject
    words: tuple[Word, ...]  # oldest first
    standing: Verdict | None
    form_id: str
    message: str = ""  # what became of the last word
    error: str = ""
    meanwhile: tuple[Verdict, ...] = ()  # words of others that the form had not shown
    typed: WordForm | None = None  # what was typed when the word was refused
    recorded: str = ""  # of the word that was taken: its draft may go
    marks: tuple[Mark, ...] = ()  # resolved railcars to click on, for a count

    @property
    def seen(self) -> str:
        """Return the identifier of the newest word, "" when there is none."""
        return self.words[-1].verdict.verdict_id if self.words else ""


@dataclass(frozen=True, slots=True)
class Picture:
    """A rendered chip and where it lies."""

    content: bytes  # PNG
    matrix: str  # SVG transform from pixels into the desk's frame
    width: int  # pixels
    height: int


@dataclass(frozen=True, slots=True)
class Viewer:
    """Two looks on each other."""

    surge: Surge
    looks: tuple[tuple[Observation, str], ...]  # offered ones with their part in the episode
    earlier: Observation | None
    later: Observation | None
    frame: Frame
    marks_earlier: tuple[Mark, ...]
    marks_later: tuple[Mark, ...]
    picture_earlier: Picture | None
    picture_later: Picture | None


class Desk:
    """One site's desk; safe to use from several threads."""

    def __init__(self, data: DeskData, now: Callable[[], datetime]) -> None:
        self.data, self.now = data, now
        self.frame = frame_of(data.site)
        self._writing = threading.Lock()
        self._pictures: dict[tuple[str, str], Picture] = {}

    def queue(self) -> tuple[Row, ...]:
        """Return the surges in the order in which they wait."""
        return queue(self.data.surges(), self.data.verdicts())

    def surge(self, surge_id: str) -> Surge:
        """Return one surge.

        Raises
        ------
        NotHereError
            When the site has none of this identifier.
        """
        for surge in self.data.surges():
            if surge.surge_id == surge_id:
                return surge
        raise NotHereError("This site has no surge of that identifier; it may have gone with a later judgement.")

    def observation(self, observation_id: str) -> Observation:
        """Return one look of the series.

        Raises
        ------
        NotHereError
            When the site has none of this identifier.
        """
        for observation in self.data.observations():
            if observation.observation_id == observation_id:
                return observation
        raise NotHereError("This site has no look of that identifier; it may have been counted again since.")

    def viewer(self, surge: Surge, earlier: str = "", later: str = "") -> Viewer:
        """Return the two looks to compare, the default pair where none is named."""
        looks = offered(surge, self.data.observations())
        by_id = {o.observation_id: o for o in looks}
        a, b = first_pair(surge, looks)
        a, b = by_id.get(earlier, a), by_id.get(later, b)
        site = self.data.site
        return Viewer(
            surge,
            tuple((o, part_of(surge, o)) for o in looks),
            a,
            b,
            self.frame,
            marks(a, site, self.frame),
            marks(b, site, self.frame),
            self.picture(a, None) if a else None,
            self.picture(b, a) if b else None,
        )

    def panel(self, subject: Subject, subject_id: str) -> Panel:
        """Return the words on a subject with an empty form."""
        said = about(self.data.verdicts(), subject, subject_id)
        return self._panel(subject, subject_id, said)

    def since(self, subject: Subject, subject_id: str, seen: str) -> tuple[Verdict, ...]:
        """Return the words on a subject that came after the one called `seen`."""
        return _after(about(self.data.verdicts(), subject, subject_id), seen)

    def take(self, subject: Subject, subject_id: str, form: WordForm, by: str) -> Panel:
        """Take one word and return the panel as it is then.

        A word is taken even when somebody else spoke meanwhile, and the panel then says who; only taking back
        is refused then, because it would take back something that its author never saw.

        Raises
        ------
        UnsaidError
            When the form does not make a word; nothing is recorded.
        """
        cars = marks(self.observation(subject_id), self.data.site, self.frame) if subject == "count" else ()
        with self._writing:
            said = about(self.data.verdicts(), subject, subject_id)
            decision, note, railcars = _meaning(subject, form, cars)
            word = speak(
                said,
                site=self.data.site.name,
                subject=subject,
                subject_id=subject_id,
                decision=decision,
                by=by,
                note=note,
                now=self.now(),
                form_id=str(form.form_id),
                reason=form.reason if decision == "reject" else "",
                railcars=railcars,
            )
            if all(v.verdict_id != word.verdict_id for v in said):
                meanwhile = _after(said, form.seen)
                if decision == "undo":
                    _may_undo(said, meanwhile)
                self.data.add_verdict(word)
                said = (*said, word)
            else:
                meanwhile = ()
        message = RECORDED[word.decision]
        if meanwhile:
            message += " Somebody else spoke meanwhile; both words are kept, and yours is newer."
        return self._panel(
            subject, subject_id, said, message=message, meanwhile=meanwhile, recorded=str(form.form_id)
        )

    def refused(self, subject: Subject, subject_id: str, form: WordForm | None, error: str) -> Panel:
        """Return the panel with what was typed and why it was not taken."""
        said = about(self.data.verdicts(), subject, subject_id)
        meanwhile = _after(said, form.seen) if form is not None else ()
        return self._panel(subject, subject_id, said, error=error, typed=form, meanwhile=meanwhile)

    def picture(self, observation: Observation, like: Observation | None) -> Picture | None:
        """Return a look's chip, stretched like another look of the same sensor; None without a chip."""
        key = (_picture_key(observation), _picture_key(like) if like else "")
        if key not in self._pictures:
            look = self.data.look_for(observation.scene_id)
            if look is None or look.grid.crs != self.data.site.crs:
                return None
            other = self.data.look_for(like.scene_id) if like else None
            source = other if other is not None and other.scene.sensor == look.scene.sensor else look
            while len(self._pictures) >= PICTURES_KEPT:
                self._pictures.pop(next(iter(self._pictures)), None)
            content = picture.png(look, picture.stretch_of(source))
            self._pictures[key] = Picture(content, self.frame.matrix(look.grid), look.grid.width, look.grid.height)
        return self._pictures.get(key)

    def _panel(
        self,
        subject: Subject,
        subject_id: str,
        said: Sequence[Verdict],
        *,
        message: str = "",
        error: str = "",
        meanwhile: tuple[Verdict, ...] = (),
        typed: WordForm | None = None,
        recorded: str = "",
    ) -> Panel:
        place = "surge" if subject == "surge" else "look"
        cars = () if subject == "surge" else marks(self.observation(subject_id), self.data.site, self.frame)
        return Panel(
            subject,
            subject_id,
            f"/{place}/{quote(subject_id, safe='')}",
            history(said),
            standing(said),
            str(typed.form_id if typed else uuid.uuid4()),
            message,
            error,
            meanwhile,
            typed,
            recorded,
            cars,
        )


def _picture_key(observation: Observation) -> str:
    return f"{observation.observation_id} {observation.chip_sha256}"


def _after(said: Sequence[Verdict], seen: str) -> tuple[Verdict, ...]:
    ids = [v.verdict_id for v in said]
    return tuple(said[ids.index(seen) + 1 :]) if seen in ids else tuple(said)


def _may_undo(said: Sequence[Verdict], meanwhile: Sequence[Verdict]) -> None:
    if meanwhile:
        raise UnsaidError(
            "Somebody else spoke meanwhile, so nothing was taken back; read their word below, then decide again.", 409
        )
    if standing(said) is None:
        raise UnsaidError("There is no decision to take back.", 409)


def _meaning(subject: Subject, form: WordForm, cars: Sequence[Mark]) -> tuple[Decision, str, float | None]:
    """Return decision, note and corrected number of a form, or say what is missing."""
    note = clean(form.note)
    if form.decision is None:
        raise UnsaidError("Choose what you decide first.")
    if form.decision == "undo":
        return "undo", note, None
    if form.decision == "note":
        if not note:
            raise UnsaidError("A note needs words.")
        return "note", note, None
    if subject == "surge":
        if form.decision == "correct":
            raise UnsaidError("A count is corrected on the page of its look.")
        if form.decision == "reject" and not form.reason:
            raise UnsaidError("Choose a reason for rejecting.")
        if form.decision == "reject" and form.reason == "other" and not note:
            raise UnsaidError("Say in the note which other reason it is.")
        return form.decision, note, None
    if form.decision != "correct":
        raise UnsaidError("A count is corrected, not confirmed or rejected: give the number that you see.")
    return _corrected(form, note, cars)


def _corrected(form: WordForm, note: str, cars: Sequence[Mark]) -> tuple[Decision, str, float]:
    if form.how == "typed":
        if form.railcars is None:
            raise UnsaidError("Type the number of railcars that you see.")
        return "correct", note, form.railcars
    if form.railcars is not None:
        raise UnsaidError("A number is typed as well: empty that field, or record the typed number.")
    if not cars:
        raise UnsaidError("This look has no resolved railcars to click on; type a number instead.")
    struck = [str(mark.number) for mark in cars if mark.index not in form.car]
    # what was clicked is part of the word: the number alone could not be traced to railcars
    trace = f"[clicked: {len(cars)} listed, struck out {', '.join(struck) or 'none'}, added {form.missed}]"
    return "correct", f"{note}\n{trace}".strip(), float(len(cars) - len(struck) + form.missed)
