#!/usr/bin/env python3
"""Draws the dashboard as SVG from a Prometheus, for the manual: no Grafana needed.

    deploy/grafana/picture.py http://127.0.0.1:9090 SECONDS >dashboard.svg

Each panel shows what its queries return for the last SECONDS. Rows, axes and colours are simple on purpose:
the picture shows which panels there are and what a day of trouble looks like.
"""

import html
import json
import os
import sys
import time
import urllib.parse
import urllib.request

CELL, ROW = 50, 30  # pixels of a grid column and row
COLOURS = ["#3274d9", "#e02f44", "#ff9830", "#56a64b", "#8f3bb8", "#19a3a3", "#a16a2c", "#7b8087"]


def values(server, query, seconds):
    """[(legend labels, [(time, value)])] of a query."""
    for name, text in (("$__rate_interval", "1m"), ("$instance", ".*"), ("$subject", ".*")):
        query = query.replace(name, text)
    end = time.time()
    words = urllib.parse.urlencode({"query": query, "start": end - seconds, "end": end,
                                    "step": max(1, seconds // 120)})
    with urllib.request.urlopen(f"{server}/api/v1/query_range?{words}", timeout=30) as answer:
        found = json.load(answer)["data"]["result"]
    return [(one["metric"], [(t, float(v)) for t, v in one["values"]]) for one in found]


def legend(target, labels):
    text = target.get("legendFormat", "")
    for name, value in labels.items():
        text = text.replace("{{%s}}" % name, value)
    return text


def number(value):
    return f"{value:.3g}" if abs(value) < 1e5 else f"{value / 1e6:.3g}M"


def draw(panel, server, seconds):
    place = panel["gridPos"]
    x, y, w, h = place["x"] * CELL, place["y"] * ROW, place["w"] * CELL, place["h"] * ROW
    out = []

    def text(dx, dy, words, size=12, colour="#333", weight="normal"):
        out.append(f'<text x="{x + dx}" y="{y + dy}" font-size="{size}" fill="{colour}" '
                   f'font-weight="{weight}">{html.escape(words)}</text>')

    if panel["type"] == "row":
        text(4, 20, panel["title"], 15, "#111", "bold")
        return out
    out.append(f'<rect x="{x + 2}" y="{y + 2}" width="{w - 4}" height="{h - 4}" fill="#fff" stroke="#ddd"/>')
    text(10, 20, panel["title"], 12, "#111", "bold")
    if panel["type"] == "text":
        for i, line in enumerate(panel["options"]["content"].splitlines()):
            text(10, 40 + 16 * i, line)
        return out
    lines = [(legend(target, labels), points) for target in panel["targets"]
             for labels, points in values(server, target["expr"], seconds)]
    if panel["type"] == "stat":
        text(10, 80, number(lines[0][1][-1][1]) if lines else "no data", 32, COLOURS[0])
        return out
    points = [point for _, line in lines for point in line if point[1] == point[1]]
    if not points:
        text(10, h / 2, "no data", 12, "#999")
        return out
    left, top, wide, high = 50, 34, w - 65, h - 70
    begin, end = min(t for t, _ in points), max(t for t, _ in points)
    low, peak = min(0, min(v for _, v in points)), max(v for _, v in points) or 1
    for share in (0, 0.5, 1):
        value = low + (peak - low) * share
        row = top + high - high * share
        out.append(f'<line x1="{x + left}" x2="{x + left + wide}" y1="{y + row}" y2="{y + row}" stroke="#eee"/>')
        text(6, row + 4, number(value), 10, "#777")
    shown = 0
    for i, (name, line) in enumerate(lines):
        colour = COLOURS[i % len(COLOURS)]
        path = " ".join(f"{x + left + wide * (t - begin) / ((end - begin) or 1):.0f},"
                        f"{y + top + high - high * (v - low) / ((peak - low) or 1):.0f}"
                        for t, v in line if v == v)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        if shown + 7 * len(name) + 20 < wide:
            text(left + shown, h - 14, "\u25ac " + name, 10, colour)
            shown += 7 * len(name) + 20
    return out


def main():
    server, seconds = sys.argv[1].rstrip("/"), int(sys.argv[2])
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "deferd.json"), encoding="utf-8") as file:
        panels = json.load(file)["panels"]
    high = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels) * ROW
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {24 * CELL} {high}" '
          'font-family="sans-serif"><rect width="100%" height="100%" fill="#f7f8fa"/>')
    for panel in panels:
        print("\n".join(draw(panel, server, seconds)))
    print("</svg>")


if __name__ == "__main__":
    main()
