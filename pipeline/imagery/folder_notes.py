"""When an image in a folder was taken: from `images.csv`, its name, or its TIFF tag."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipeline.errors import ReadError, SourceError
from pipeline.imagery.folder_file import open_image

NOTES_FILE = "images.csv"
MAX_NOTES_BYTES = 16 * 2**20
COLUMNS = ("file", "observed_at", "crs", "publisher")
STAMP_BYTES = 65536  # from each end of a file, for its content stamp
# 8 digits of a day, and perhaps 4 or 6 of a time: 20231005, 20231005T0215, 2023-10-05_021530
_DAY = re.compile(
    r"(?<!\d)((?:19|20)\d{2})[-_]?(\d{2})[-_]?(\d{2})(?:[T_-]?(\d{2})[-:]?(\d{2})(?:[-:]?(\d{2}))?Z?)?(?!\d)"
)


@dataclass(frozen=True, slots=True)
class Note:
    """One row of `images.csv`."""

    observed_at: str = ""  # ISO 8601; without a zone it is UTC, without a time it is the local noon of that day
    crs: str = ""  # for an image that carries none
    publisher: str = ""


def read_notes(folder: Path, source: str) -> dict[str, Note]:
    """Return the rows of `images.csv` by file name within the folder; a missing file is no rows.

    Raises
    ------
    SourceError
        When the file cannot be read, lacks column `file`, has unknown columns, or names a file twice.
    """
    path = folder / NOTES_FILE
    if not path.is_file():
        return {}
    where = f"source {source}: {path}"
    try:
        if path.stat().st_size > MAX_NOTES_BYTES:
            raise SourceError(f"{where} is larger than 16 MB; it should hold one line an image.")
        rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig")))
        names = list(rows.fieldnames or [])
        unknown = [name for name in names if name not in COLUMNS]
        if "file" not in names or unknown:
            raise SourceError(f"{where}: columns must be among {', '.join(COLUMNS)}, and 'file' must be there.")
        notes: dict[str, Note] = {}
        for row in rows:
            name = (row["file"] or "").strip()
            if name in notes:
                raise SourceError(f"{where} line {rows.line_num}: file '{name}' stands twice; keep one.")
            text = {key: (row.get(key) or "").strip() for key in COLUMNS[1:]}
            if text["observed_at"] and _parse(text["observed_at"], 0.0) is None:
                raise SourceError(
                    f"{where} line {rows.line_num}: '{text['observed_at']}' is not a time such as 2023-10-05T02:15Z."
                )
            notes[name] = Note(**text)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{where} cannot be read as UTF-8 comma-separated text.") from error
    return notes


def image_time(path: Path, note: Note | None, pattern: str, longitude_deg: float) -> datetime | None:
    """Return when an image was taken, UTC, or None when nothing says so.

    The order is: `images.csv`, the source's `time_pattern` on the file name, TIFFTAG_DATETIME, and a date of eight
    digits in the file name. A day without a time becomes its local solar noon, so that it stays the same day at
    the place.

    Parameters
    ----------
    path : Path
    note : Note or None
    pattern : str
        Regular expression with a group `time`; "" for none.
    longitude_deg : float
        Of the site.
    """
    if note is not None and note.observed_at:
        return _parse(note.observed_at, longitude_deg)
    if pattern:
        found = re.search(pattern, path.name)
        if found is not None and "time" in found.re.groupindex and found["time"]:
            return _parse(found["time"], longitude_deg)
    return _tag_time(path) or _parse_digits(path.stem, longitude_deg)


def content_stamp(path: Path) -> str:
    """Return a short digest of a file's size and both ends; it changes when the file is replaced."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            digest = hashlib.sha256(file.read(STAMP_BYTES))
            file.seek(max(size - STAMP_BYTES, 0))
            digest.update(file.read(STAMP_BYTES))
    except OSError:
        return ""
    return f"{size}-{digest.hexdigest()[:16]}"


def _parse(text: str, longitude_deg: float) -> datetime | None:
    try:
        when = datetime.fromisoformat(text.strip())
    except ValueError:
        return _parse_digits(text, longitude_deg)
    if re.fullmatch(r"\d{4}-?\d{2}-?\d{2}", text.strip()):
        return _noon(when, longitude_deg)
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def _parse_digits(text: str, longitude_deg: float) -> datetime | None:
    for found in _DAY.finditer(text):
        year, month, day, hour, minute, second = found.groups()
        try:
            when = datetime(
                int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=UTC
            )
        except ValueError:
            continue
        return when if hour else _noon(when, longitude_deg)
    return None


def _noon(day: datetime, longitude_deg: float) -> datetime:
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return midnight + timedelta(hours=12) - timedelta(minutes=round(longitude_deg * 4))


def _tag_time(path: Path) -> datetime | None:
    """Return TIFFTAG_DATETIME ("YYYY:MM:DD HH:MM:SS", taken as UTC) of a GeoTIFF."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        return None
    try:
        with open_image(path) as image:
            text = str(image.tags().get("TIFFTAG_DATETIME", ""))
    except ReadError:
        return None
    try:
        return datetime.strptime(text.strip(), "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None
