"""What a benchmark printed, as tables where its lines are figures and as a quotation where they are not."""

from __future__ import annotations

import re

MOST_LINES = 80  # of a benchmark's text that are quoted
_ASKED = (
    re.compile(r"^(?P<what>[^|]*?)\s*\|?\s*asked:?\s+(?P<asked>[^|]*?)\s*(?:\|\s*|\s{2,})seen:?\s+(?P<seen>.*)$"),
    re.compile(r"^(?P<what>[^|]+?) \| (?P<asked>[^|]+?) \| (?P<seen>[^|]+?) \| (?P<met>yes|NO)$"),
)
_HEADER = re.compile(r"^what \| asked \| seen")
# A name, then at least five times a word and its number: "0.5 m snow   scenes 12 refused 0 mape 0.021 f1 0.98".
_PAIR = r"[A-Za-z]\w* [-+]?(?:\d+(?:\.\d+)?|nan)"
_FIGURES = re.compile(rf"^(?P<name>\S.*?)\s+(?P<pairs>{_PAIR}(?:\s+{_PAIR}){{4,}})\s*$")
_WORDS = {"mape": "MAPE", "mae": "MAE", "f1": "F1", "rmse": "RMSE", "kinds": "F1 of kinds"}


def as_markdown(text: str, name: str) -> str:
    """Return a benchmark's text as Markdown.

    Parameters
    ----------
    text : str
        As printed.
    name : str
        Of its file, for the reader.
    """
    asked: list[tuple[str, ...]] = []
    figures: list[tuple[str, dict[str, str]]] = []
    rest: list[str] = []
    for line in text.rstrip().splitlines():
        if _HEADER.match(line):
            continue
        hit = next((match for pattern in _ASKED if (match := pattern.match(line.strip()))), None)
        if hit is not None:
            found = hit.groupdict(default="")
            asked.append((found["what"].strip(" :"), found["asked"], found["seen"], found.get("met", "")))
        elif (row := _FIGURES.match(line.strip())) is not None:
            words = row["pairs"].split()
            figures.append((row["name"], dict(zip(words[::2], words[1::2], strict=True))))
        else:
            rest.append(line)
    parts = [f"`{name}`, as printed:", ""]
    if figures:
        columns = list(dict.fromkeys(key for _, values in figures for key in values))
        titles = ["condition", *(_WORDS.get(key, key) for key in columns)]
        parts += _table(titles, [(one, *(values.get(key, "") for key in columns)) for one, values in figures])
    if asked:
        met = any(row[3] for row in asked)
        parts += _table(["what", "asked", "seen", "met"][: 3 + met], [row[: 3 + met] for row in asked])
    quoted = "\n".join(rest).strip("\n").splitlines()
    if quoted:
        kept = [line.rstrip().replace("```", "'''") for line in quoted[:MOST_LINES]]
        if len(quoted) > MOST_LINES:
            kept.append(f"... {len(quoted) - MOST_LINES} more lines in tests/benchmarks/results/{name}")
        parts += ["```text", *kept, "```", ""]
    return "\n".join(parts)


def _table(titles: list[str], rows: list[tuple[str, ...]]) -> list[str]:
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    return [*lines, *("| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows), ""]
