"""What pypdf says of a figure's file."""

from pathlib import Path

import pytest
from pypdf import PdfReader


def check_pdf(file: Path, widths: tuple[float, ...] = (3.3, 7.0)) -> str:
    """Check that a figure is one page as wide as a column or a page of a paper, and that its fonts are TrueType.

    Returns:
        Its text.
    """
    (page,) = PdfReader(file).pages
    inches = float(page.mediabox.width) / 72
    assert any(inches == pytest.approx(width, abs=0.01) for width in widths), (file, inches)
    assert float(page.mediabox.height) / 72 < 9.5
    fonts = [font.get_object() for font in page["/Resources"]["/Font"].get_object().values()]
    assert fonts
    for font in fonts:
        parts = [part.get_object() for part in font.get("/DescendantFonts", [font])]
        assert all("/FontFile2" in part["/FontDescriptor"].get_object() for part in parts), (file, font)
    return page.extract_text()
