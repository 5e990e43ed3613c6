"""Blocks of a report, rendered as GitHub markdown and as an HTML page."""

import html
import io
import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Colours of plots. An HTML page replaces them by its own of the same name, of
# the light or dark scheme.
PLOT_COLOURS = {
    "paper": "#ffffff",
    "ink": "#1f2328",
    "muted": "#59636e",
    "grid": "#e4e8ec",
    "teacher": "#8c959f",
    "other": "#c9d1d9",
}
# Settings of matplotlib that all plots share.
PLOT_STYLE: dict[Any, Any] = {
    "figure.constrained_layout.use": True,
    "savefig.facecolor": PLOT_COLOURS["paper"],
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": PLOT_COLOURS["ink"],
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelcolor": PLOT_COLOURS["ink"],
    "axes.edgecolor": PLOT_COLOURS["muted"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": PLOT_COLOURS["grid"],
    "xtick.color": PLOT_COLOURS["muted"],
    "ytick.color": PLOT_COLOURS["muted"],
    "legend.frameon": False,
}
_DOTS_PER_INCH, _PNG_COLOURS = 150, 128

_STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1f2328;
  --muted: #59636e; --grid: #e4e8ec; --teacher: #8c959f; --other: #c9d1d9;
  --stripe: #f6f8fa; }
@media (prefers-color-scheme: dark) { :root { --paper: #0d1117;
  --ink: #e6edf3; --muted: #9198a1; --grid: #30363d; --teacher: #7d8590;
  --other: #3d444d; --stripe: #161b22; } }
body { background: var(--paper); color: var(--ink); margin: 2rem auto;
  max-width: 62rem; padding: 0 1rem; line-height: 1.5;
  font-family: system-ui, sans-serif; }
h1, h2 { line-height: 1.25; }
h2 { border-bottom: 1px solid var(--grid); margin-top: 2.5rem;
  padding-bottom: .3rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem;
  font-variant-numeric: tabular-nums; margin: 1rem 0; }
th, td { border-bottom: 1px solid var(--grid); padding: .35rem .75rem;
  text-align: left; vertical-align: top; }
tbody tr:nth-child(even) { background: var(--stripe); }
td.number, th.number { text-align: right; white-space: nowrap; }
code, pre { background: var(--stripe); border-radius: 4px;
  font-size: .8125rem; padding: .1rem .3rem; }
pre { overflow-x: auto; padding: .75rem; }
th button { all: unset; cursor: pointer; font-weight: bold; }
th button:hover { text-decoration: underline; }
th button:focus-visible { outline: 2px solid; }
th[aria-sort="ascending"] button::after { content: " \\2191"; }
th[aria-sort="descending"] button::after { content: " \\2193"; }
figure { margin: 1.5rem 0; }
figure svg { display: block; height: auto; max-width: 100%; }
"""


# Sorts a table by the clicked column: text from the first letter, numbers from
# the greatest; a second click turns the order. Cells without a number come
# last. The page is XML too, so there is no "less than" and no ampersand.
_SORTING = """
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th");
    const body = head.closest("table").tBodies[0];
    const isNumber = head.classList.contains("number");
    const orders = ["ascending", "descending"];
    if (isNumber) orders.reverse();
    const isSorted = head.getAttribute("aria-sort") === orders[0];
    const order = orders[isSorted ? 1 : 0];
    for (const other of head.parentNode.cells) {
      other.removeAttribute("aria-sort");
    }
    head.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const text = (row) => row.cells[head.cellIndex].textContent;
    const number = (row) => parseFloat(text(row).replaceAll(",", ""));
    const compare = (a, b) => {
      if (!isNumber) {
        return sign * text(a).localeCompare(text(b), "en", {numeric: true});
      }
      const [x, y] = [number(a), number(b)];
      if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y);
      return sign * (x - y);
    };
    body.append(...[...body.rows].sort(compare));
  });
}
"""


class Code(NamedTuple):
    """Text that is shown as code."""

    text: str


class Strong(NamedTuple):
    """Emphasised text."""

    text: str


Words = str | Code | Strong


class Paragraph(NamedTuple):
    """A paragraph of text."""

    words: tuple[Words, ...]


class Table(NamedTuple):
    """A table.

    The first `num_texts` columns hold text, the others numbers.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[Words, ...], ...]
    num_texts: int = 1


class Listing(NamedTuple):
    """Preformatted lines, as on a terminal."""

    text: str


class Plot(NamedTuple):
    """An SVG of matplotlib, the name of its file, and a caption of one line.

    `png` is the same figure for a file of the same stem, if there is one.
    """

    file_name: str
    title: str
    svg: str
    png: bytes = b""

    @property
    def png_name(self) -> str:
        """The name of the PNG's file."""
        return str(PurePath(self.file_name).with_suffix(".png"))


Block = Paragraph | Table | Listing | Plot


class Section(NamedTuple):
    """Blocks under a title."""

    title: str
    blocks: tuple[Block, ...]


def write_png(figure: "Figure") -> bytes:
    """Returns a PNG of few colours, a third of the size of one of all."""
    from PIL import Image

    full, small = io.BytesIO(), io.BytesIO()
    figure.savefig(full, format="png", dpi=_DOTS_PER_INCH)
    image = Image.open(full).convert("RGB").quantize(_PNG_COLOURS)
    dots = (_DOTS_PER_INCH, _DOTS_PER_INCH)
    image.save(small, format="png", optimize=True, dpi=dots)
    return small.getvalue()


def write_number(value: float | None, style: str) -> str:
    """Returns a number in a format style; `-` for None."""
    return "-" if value is None else format(value, style)


def write_score(value: float | None, style: str = ".3f") -> str:
    """Returns a score without a leading zero: `.731`."""
    return re.sub(r"^([+-]?)0\.", r"\1.", write_number(value, style))


def write_percent(share: float | None) -> str:
    """Returns a share as `26 %`, with one decimal below ten percent."""
    if share is None:
        return "-"
    digits = 1 if abs(share) < 0.0995 else 0
    return f"{100 * share:.{digits}f} %"


def render_markdown(title: str, sections: Sequence[Section]) -> str:
    """Returns the report as GitHub markdown, with links to the plots."""
    parts = [f"# {_markdown_words(title)}"]
    for section in sections:
        parts.append(f"## {_markdown_words(section.title)}")
        parts += map(_markdown_block, section.blocks)
    return "\n\n".join(parts) + "\n"


def render_html(title: str, sections: Sequence[Section]) -> str:
    """Returns the report as one HTML file with inline plots.

    The file is also well-formed XML. The plots take the page's colours. A
    click on the title of a table's column sorts the rows by it.
    """
    parts = [f"<h1>{html.escape(title)}</h1>"]
    for section in sections:
        parts.append(f"<h2>{html.escape(section.title)}</h2>")
        parts += map(_html_block, section.blocks)
    body = "\n".join(parts)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<title>{html.escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
{body}
<script>{_SORTING}</script>
</body>
</html>
"""


def _markdown_block(block: Block) -> str:
    match block:
        case Paragraph(words):
            return "".join(map(_markdown_words, words))
        case Listing(text):
            fence = _fence(text, "```")
            return f"{fence}\n{text}\n{fence}"
        case Plot(file_name, title, png=png):
            image = f"![{_markdown_words(title)}]({file_name})"
            return image + (f" [PNG]({block.png_name})" if png else "")
        case Table(header, rows, num_texts):
            num_numbers = len(header) - num_texts
            rule = ["---"] * num_texts + ["---:"] * num_numbers
            head, *body = ([*map(_markdown_cell, r)] for r in (header, *rows))
            lines = [head, rule, *body]
            return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _markdown_cell(words: Words) -> str:
    return re.sub(r"\s+", " ", _markdown_words(words).replace("|", r"\|"))


def _markdown_words(words: Words) -> str:
    match words:
        case Code(text):
            fence = _fence(text, "`")
            pad = " " if "`" in text else ""
            return f"{fence}{pad}{text}{pad}{fence}" if text else ""
        case Strong(text):
            return f"**{_markdown_words(text)}**"
    escaped = html.escape(words, quote=False)
    # Markdown gives an underscore within a word no meaning.
    return re.sub(r"([\\`*\[\]~]|\b_|_\b)", r"\\\1", escaped)


def _fence(text: str, shortest: str) -> str:
    longest = max(map(len, re.findall("`+", text)), default=0)
    return "`" * max(len(shortest), longest + 1)


def _html_block(block: Block) -> str:
    match block:
        case Paragraph(words):
            return f"<p>{''.join(map(_html_words, words))}</p>"
        case Listing(text):
            return f"<pre>{html.escape(text)}</pre>"
        case Plot(file_name, title, svg):
            return f"<figure>{_inline_svg(svg, title, file_name)}</figure>"
        case Table(header, rows, num_texts):
            head = _html_head(header, num_texts)
            body = "\n".join(
                _html_row("td", [*map(_html_words, row)], num_texts)
                for row in rows
            )
            return (
                f'<div class="wide"><table>\n<thead>{head}</thead>\n'
                f"<tbody>\n{body}\n</tbody>\n</table></div>"
            )


def _html_head(titles: Sequence[str], num_texts: int) -> str:
    """Returns the row of titles; each that is not empty is a button."""
    buttons = [
        title and f'<button type="button">{html.escape(title)}</button>'
        for title in titles
    ]
    return _html_row("th", buttons, num_texts)


def _html_row(tag: str, cells: Sequence[str], num_texts: int) -> str:
    """Returns a table's row of cells that are HTML already."""
    texts = []
    for index, cell in enumerate(cells):
        start = tag if index < num_texts else f'{tag} class="number"'
        texts.append(f"<{start}>{cell}</{tag}>")
    return f"<tr>{''.join(texts)}</tr>"


def _html_words(words: Words) -> str:
    match words:
        case Code(text):
            return f"<code>{html.escape(text)}</code>" if text else ""
        case Strong(text):
            return f"<strong>{html.escape(text)}</strong>"
    return html.escape(words)


def _inline_svg(svg: str, title: str, file_name: str) -> str:
    drawing = svg[svg.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r"<!--.*?-->\s*", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", drawing)
    drawing = drawing.replace("xlink:href", "href")
    # Ids must be unique in the page.
    prefix = file_name.removesuffix(".svg")
    drawing = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", drawing)
    for name, colour in PLOT_COLOURS.items():
        drawing = drawing.replace(colour, f"var(--{name})")
    label = html.escape(title)
    return drawing.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
