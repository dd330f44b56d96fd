"""XML of strangers: no document type, so no entities, and a sentence for what is not well-formed."""

from __future__ import annotations

from xml.etree import ElementTree

from pipeline.errors import ReadError


def xml_root(body: bytes, shown: str) -> ElementTree.Element:
    """Return the root of an XML document.

    Parameters
    ----------
    body : bytes
    shown : str
        The document, for errors: the subject of a sentence.

    Raises
    ------
    ReadError
        When it carries a document type or is not well-formed.
    """
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise ReadError(f"{shown} carries a document type, which such a document has no use for; it is not read.")
    try:
        return ElementTree.fromstring(body)  # noqa: S314 - entities are refused above
    except ElementTree.ParseError as error:
        raise ReadError(f"{shown} is not well-formed XML ({error}).") from error
