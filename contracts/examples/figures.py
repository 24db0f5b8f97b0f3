"""What the report must say, computed another way than the workflow does, and what it says.

A figure is (file, column) -> (values, missing, min, max, mean, stdev) for numbers, (values, missing, different) for
text; `("", "")` holds (files, rows, columns, numeric columns, values, missing) of the whole data set.
"""

import csv
import math
import re
from pathlib import Path

Figures = dict[tuple[str, str], tuple[float, ...]]
ROUNDED_BY = 0.0051
"""The report shows two digits after the point."""
_NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?")


def computed(folder: Path) -> Figures:
    """The figures of the CSV files in a folder, one running sum per column (Welford's method)."""
    figures: Figures = {}
    rows = columns = numeric = values = missing = 0
    files = sorted(folder.glob("*.csv"))
    for path in files:
        with path.open(newline="", encoding="utf-8") as file:
            records = list(csv.DictReader(file))
        rows += len(records)
        for name in records[0]:
            cells = [record[name] for record in records]
            figure = _of_column(cells)
            figures[path.name, name] = figure
            columns, numeric = columns + 1, numeric + (len(figure) > 3)
            values, missing = values + int(figure[0]), missing + int(figure[1])
    figures["", ""] = (len(files), rows, columns, numeric, values, missing)
    return figures


def _of_column(cells: list[str]) -> tuple[float, ...]:
    present = [cell for cell in cells if cell.strip()]
    count, mean, squares, least, greatest = 0, 0.0, 0.0, math.inf, -math.inf
    for cell in present:
        try:
            value = float(cell)
        except ValueError:
            return len(present), len(cells) - len(present), len(set(present))
        count += 1
        step = value - mean
        mean += step / count
        squares += step * (value - mean)
        least, greatest = min(least, value), max(greatest, value)
    return count, len(cells) - count, least, greatest, mean, math.sqrt(squares / (count - 1))


def said(report: str) -> Figures:
    """The figures in the text of a report."""
    figures: Figures = {}
    file = ""
    for line in report.splitlines():
        if line.startswith("## "):
            file = line.removeprefix("## ")
        elif not file and "files" in line:
            figures["", ""] = _numbers(line)
        elif line.startswith("| ") and not line.startswith(("| column", "| ---")):
            name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            figures[file, name] = tuple(number for cell in cells for number in _numbers(cell))
    return figures


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(number.replace(",", "")) for number in _NUMBER.findall(text))


def differences(expected: Figures, found: Figures) -> list[str]:
    """Where they differ, one line each."""
    lines: list[str] = []
    for key in sorted(expected.keys() | found.keys()):
        want, have = expected.get(key, ()), found.get(key, ())
        is_same = len(want) == len(have) and all(abs(a - b) < ROUNDED_BY for a, b in zip(want, have, strict=True))
        if not is_same:
            lines.append(f"{' '.join(key).strip() or 'the whole'}: the report says {have}, it should be {want}")
    return lines
