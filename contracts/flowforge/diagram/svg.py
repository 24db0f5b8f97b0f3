"""The picture as an SVG document: nothing but shapes and text, so that a page that forbids scripts and styles shows it."""

from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

from flowforge.diagram import Arrow, Diagram
from flowforge.diagram.colours import FAILURE_LINE, LINE, look
from flowforge.diagram.layers import Item, Layout, laid_out

BOX_WIDTH_PX, BOX_HEIGHT_PX = 158, 42
GAP_ALONG_PX, GAP_ACROSS_PX = 46, 16
MARGIN_PX, TITLE_PX, NOTE_PX = 12, 26, 22
WIDE_PX = 1_400
"""A picture that would be wider goes from top to bottom instead."""
TEXT_WIDTH_PX = BOX_WIDTH_PX - 20
ARROW_CHARS_MAX, TITLE_CHARS_MAX = 18, 90
_NARROW, _WIDE = frozenset("iljtfrI.,:;'|!()[] "), frozenset("mwMW@%…")
_FONT = "font-family=\"system-ui, 'Segoe UI', Helvetica, Arial, sans-serif\""
_ARROW_PX = 6.0


class _Spot(NamedTuple):
    """A point on the page."""

    x: float
    y: float


class _Page:
    """Turns layers and places into points, from left to right or from top to bottom."""

    def __init__(self, layout: Layout, gap_px: float, *, is_down: bool) -> None:
        self.layout, self.is_down = layout, is_down
        self._gap_px = gap_px
        self.thickness = BOX_HEIGHT_PX if is_down else BOX_WIDTH_PX
        self._layer_of = {id(item): number for number, layer in enumerate(layout.layers) for item in layer}
        along = len(layout.layers) * (self.thickness + gap_px) - gap_px
        self.size = _Spot(layout.extent, along) if is_down else _Spot(along, layout.extent)

    def near(self, item: Item) -> _Spot:
        """Where an arrow comes in."""
        return self._spot(self._layer_of[id(item)] * (self.thickness + self._gap_px), item.place)

    def far(self, item: Item) -> _Spot:
        """Where an arrow goes out."""
        return self._spot(self._layer_of[id(item)] * (self.thickness + self._gap_px) + self.thickness, item.place)

    def corner(self, item: Item) -> _Spot:
        """The upper left corner of a box."""
        spot = self.near(item)
        return _Spot(spot.x - BOX_WIDTH_PX / 2, spot.y) if self.is_down else _Spot(spot.x, spot.y - BOX_HEIGHT_PX / 2)

    def _spot(self, along: float, across: float) -> _Spot:
        x, y = (across, along) if self.is_down else (along, across)
        return _Spot(x + MARGIN_PX, y + MARGIN_PX + TITLE_PX)


def svg(diagram: Diagram) -> str:
    """The picture; as wide as it needs to be, and no wider than where it is shown."""
    page = _page(diagram)
    title = _shortened(diagram.title, TITLE_CHARS_MAX)
    width = max(page.size.x, 8.5 * len(title)) + 2 * MARGIN_PX
    height = page.size.y + 2 * MARGIN_PX + TITLE_PX + (NOTE_PX if diagram.note else 0)
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
            f'height="{height:.0f}" style="max-width:100%;height:auto" role="img" {_FONT}>'
        ),
        f"<title>{escape(diagram.title)}</title>",
        *_title(title, diagram.status),
        *(_arrow(page, arrow) for arrow in diagram.arrows),
        *_boxes(page, diagram),
        *(_text(_Spot(MARGIN_PX, height - MARGIN_PX), diagram.note, LINE, 12) for _ in diagram.note[:1]),
        "</svg>",
    ]
    return "\n".join(part for part in parts if part)


def _page(diagram: Diagram) -> _Page:
    ids = [box.id for box in diagram.boxes]
    links = [(arrow.source, arrow.target) for arrow in diagram.arrows]
    letters = max((min(len(arrow.label), ARROW_CHARS_MAX) for arrow in diagram.arrows), default=0)
    gap_px = max(GAP_ALONG_PX, 6.2 * letters + 22)
    lying = laid_out(ids, links, size=BOX_HEIGHT_PX, gap=GAP_ACROSS_PX, point_size=4)
    page = _Page(lying, gap_px, is_down=False)
    if page.size.x <= WIDE_PX:
        return page
    upright = laid_out(ids, links, size=BOX_WIDTH_PX, gap=GAP_ACROSS_PX, point_size=4)
    standing = _Page(upright, GAP_ALONG_PX, is_down=True)
    return standing if standing.size.x < page.size.x else page


def _title(title: str, status: str | None) -> list[str]:
    spot = _Spot(MARGIN_PX, MARGIN_PX + 11)
    if not status:
        return [_text(spot, title, LINE, 13, weight=600)]
    dot = f'<circle cx="{MARGIN_PX + 5}" cy="{MARGIN_PX + 7}" r="5" fill="{look(status).border}"/>'
    return [dot, _text(_Spot(spot.x + 17, spot.y), title, LINE, 13, weight=600)]


def _boxes(page: _Page, diagram: Diagram) -> list[str]:
    known = {box.id: box for box in diagram.boxes}
    parts: list[str] = []
    for item in (item for layer in page.layout.layers for item in layer if item.id is not None):
        assert item.id is not None
        box, spot = known[item.id], page.corner(item)
        colours = look(box.status)
        dashes = ' stroke-dasharray="4 3"' if box.status == "skipped" else ""
        parts += [
            f"<g><title>{escape(box.hint or box.label)}</title>",
            (
                f'<rect x="{spot.x:.1f}" y="{spot.y:.1f}" width="{BOX_WIDTH_PX}" height="{BOX_HEIGHT_PX}" rx="8" '
                f'fill="{colours.fill}" stroke="{colours.border}" stroke-width="1.5"{dashes}/>'
            ),
            _text(_Spot(spot.x + 11, spot.y + 18), _fitting(box.label, 12.5 * 1.08), colours.text, 12.5, weight=600),
            _text(
                _Spot(spot.x + 11, spot.y + 33),
                _fitting(box.detail, 10.5),
                colours.text,
                10.5,
                opacity=0.8,
            ),
            "</g>",
        ]
    return parts


def _arrow(page: _Page, arrow: Arrow) -> str:
    way = page.layout.ways.get((arrow.source, arrow.target))
    if way is None:
        return ""
    colour = FAILURE_LINE if arrow.kind == "failure" else LINE
    dashes = "" if arrow.kind == "plain" else ' stroke-dasharray="5 4"'
    tip = page.near(way[-1])
    path = f'<path d="{_path(page, way)}" fill="none" stroke="{colour}" stroke-width="1.5"{dashes}/>'
    return path + _head(tip, colour, is_down=page.is_down) + _arrow_label(page, way, arrow.label, colour)


def _path(page: _Page, way: Sequence[Item]) -> str:
    """From box to box, through the points between: curves from layer to layer, straight lines across one."""
    start = page.far(way[0])
    parts = [f"M{start.x:.1f},{start.y:.1f}"]
    for item in way[1:]:
        end = page.near(item)
        if item is way[-1]:
            end = _Spot(end.x, end.y - _ARROW_PX) if page.is_down else _Spot(end.x - _ARROW_PX, end.y)
        middle = (start.y + end.y) / 2 if page.is_down else (start.x + end.x) / 2
        first, second = (
            (_Spot(start.x, middle), _Spot(end.x, middle))
            if page.is_down
            else (_Spot(middle, start.y), _Spot(middle, end.y))
        )
        parts.append(f"C{first.x:.1f},{first.y:.1f} {second.x:.1f},{second.y:.1f} {end.x:.1f},{end.y:.1f}")
        start = page.far(item)
        if item is not way[-1]:
            parts.append(f"L{start.x:.1f},{start.y:.1f}")
    return " ".join(parts)


def _head(tip: _Spot, colour: str, *, is_down: bool) -> str:
    size = _ARROW_PX
    other = (
        f"{tip.x - size * 0.6:.1f},{tip.y - size:.1f} {tip.x + size * 0.6:.1f},{tip.y - size:.1f}"
        if is_down
        else f"{tip.x - size:.1f},{tip.y - size * 0.6:.1f} {tip.x - size:.1f},{tip.y + size * 0.6:.1f}"
    )
    return f'<polygon points="{tip.x:.1f},{tip.y:.1f} {other}" fill="{colour}"/>'


def _arrow_label(page: _Page, way: Sequence[Item], label: str, colour: str) -> str:
    if not label:
        return ""
    end = page.near(way[1])
    below = 13 if page.far(way[0]).y < end.y else -5  # on the side that the curve does not come from
    spot = _Spot(end.x + 6, end.y - 10) if page.is_down else _Spot(end.x - 8, end.y + below)
    shown = f"<title>{escape(label)}</title>{escape(_shortened(label, ARROW_CHARS_MAX))}"
    anchor = "start" if page.is_down else "end"
    return (
        f'<text x="{spot.x:.1f}" y="{spot.y:.1f}" font-size="10" fill="{colour}" text-anchor="{anchor}">{shown}</text>'
    )


def _text(spot: _Spot, text: str, colour: str, size_px: float, *, weight: int = 400, opacity: float = 1.0) -> str:
    look_of_it = f"font-size={quoteattr(str(size_px))} font-weight={quoteattr(str(weight))} fill={quoteattr(colour)}"
    see_through = f' opacity="{opacity}"' if opacity < 1 else ""
    return f'<text x="{spot.x:.1f}" y="{spot.y:.1f}" {look_of_it}{see_through}>{escape(text)}</text>'


def _fitting(text: str, size_px: float) -> str:
    """As much of a text as a box is wide, by how wide letters are about (of wide fonts)."""
    text = " ".join(_printable(text).split())
    width = 0.0
    for number, character in enumerate(text):
        share = 0.4 if character in _NARROW else 1.0 if character in _WIDE or ord(character) > 0x2E7F else 0.66
        width += share * size_px
        if width > TEXT_WIDTH_PX:
            return text[: max(1, number - 1)] + "…"
    return text


def _shortened(text: str, chars_max: int) -> str:
    text = " ".join(_printable(text).split())
    return text if len(text) <= chars_max else text[: chars_max - 1] + "…"


def _printable(text: str) -> str:
    """Without what XML cannot hold."""
    return "".join(character if character.isprintable() else " " for character in text)
