"""A YAML file becomes a checked model; what is wrong is said with file, line, key and the nearest good key."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from pipeline.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)
KeyPath = tuple[str | int, ...]

MAX_BYTES = 4_000_000  # a configuration file larger than this is a mistake


def load_yaml(path: Path, model: type[Model]) -> Model:
    """Read `path` and check it against `model`.

    Raises
    ------
    ConfigError
        When the file is missing, is not YAML, repeats a key, or does not fit the model; one sentence with
        file, line and key.
    """
    text = read_text(path)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "cannot be parsed"
        raise ConfigError(f"{path}{where}: not valid YAML ({problem}); correct it.") from error
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected keys and values at the top, found {type(data).__name__}.")
    lines: dict[KeyPath, int] = {}
    if node is not None:
        _collect_lines(path, node, (), lines)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ConfigError(_sentence(path, error, model, lines)) from error


def read_text(path: Path) -> str:
    """Return a configuration file's text.

    Raises
    ------
    ConfigError
        When it is missing, unreadable, larger than `MAX_BYTES` or not UTF-8.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ConfigError(f"{path}: {size} bytes is too large for a configuration file.")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file; create it or point --config to the right folder.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text; save it as UTF-8.") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from error


def nearest(word: str, candidates: list[str]) -> str:
    """Return `"; did you mean 'x'?"` for the closest candidate, or the list of what is allowed."""
    close = difflib.get_close_matches(word, candidates, n=1, cutoff=0.5)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; allowed are {', '.join(sorted(candidates))}." if candidates else "."


def _collect_lines(path: Path, node: Node, prefix: KeyPath, lines: dict[KeyPath, int]) -> None:
    """Fill `lines` with the 1-based line of every key; a repeated key is an error, YAML would drop it silently."""
    lines.setdefault(prefix, node.start_mark.line + 1)
    if isinstance(node, MappingNode):
        seen: set[str] = set()
        for key_node, value_node in node.value:
            key = str(key_node.value) if isinstance(key_node, ScalarNode) else "?"
            line = key_node.start_mark.line + 1
            if key in seen:
                raise ConfigError(f"{path} line {line}: key '{key}' stands twice; keep one.")
            seen.add(key)
            lines[(*prefix, key)] = line
            _collect_lines(path, value_node, (*prefix, key), lines)
    elif isinstance(node, SequenceNode):
        for index, child in enumerate(node.value):
            _collect_lines(path, child, (*prefix, index), lines)


def _sentence(path: Path, error: ValidationError, model: type[BaseModel], lines: dict[KeyPath, int]) -> str:
    """Turn the first problem of a validation into one sentence."""
    # An unknown key is named before a missing one: a misspelt key is both, and its own name is the better hint.
    problem = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    location: KeyPath = tuple(problem["loc"])
    line = next((lines[location[:n]] for n in range(len(location), -1, -1) if location[:n] in lines), None)
    where = f"{path} line {line}" if line else str(path)
    key = ".".join(str(part) for part in location)
    if problem["type"] == "extra_forbidden":
        owner = _model_at(model, location[:-1])
        return f"{where}: unknown key '{key}'{nearest(str(location[-1]), list(owner.model_fields) if owner else [])}"
    if problem["type"] == "missing":
        return f"{where}: key '{key}' is missing; add it."
    shown = repr(problem.get("input"))
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return f"{where}: key '{key}' is {shown}: {problem['msg'][0].lower()}{problem['msg'][1:]}."


def _model_at(model: type[BaseModel], location: KeyPath) -> type[BaseModel] | None:
    """Follow a location through nested models, lists and dictionaries to the model that owns the last key."""
    current: Any = model
    for part in location:
        if isinstance(current, type) and issubclass(current, BaseModel) and isinstance(part, str):
            field = current.model_fields.get(part)
            current = field.annotation if field else None
        candidates = _models_within(current)
        current = candidates[0] if candidates else current
    return current if isinstance(current, type) and issubclass(current, BaseModel) else None


def _models_within(annotation: Any) -> list[type[BaseModel]]:
    """Return the models named anywhere inside a type annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for arg in getattr(annotation, "__args__", ()) for found in _models_within(arg)]
