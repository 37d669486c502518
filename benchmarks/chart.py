"""Draw how many times as fast as Airflow's own backend each backend is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.payloads import PAYLOADS
from benchmarks.probe import OWN, THEIRS

_COLOURS: Final = {"b": "#b8b8b8", "c": "#e2a03f", "d": "#7fb3d5", "e": "#1f5f8b"}
_DIRECTIONS: Final = ("pull", "push")


def draw(measured: Mapping[str, Any], picture: Path) -> None:
    """Write the chart; it omits values that Airflow's own backend cannot serialize."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams |= {"svg.hashsalt": "the same file for the same figures", "font.size": 9}
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, len(_DIRECTIONS), figsize=(11, 4.2), sharey=True, layout="constrained")
    for panel, what in zip(panels, _DIRECTIONS, strict=True):
        _draw_panel(panel, measured["stacks"], what)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    with_what = measured["measured_with"]
    figure.suptitle(
        f"Times as fast as Airflow's own XCom backend, measured beside it in the same task\n"
        f"Airflow {with_what['apache-airflow']}, {with_what['machine']}, {with_what['date']}",
        fontsize=9,
    )
    figure.savefig(picture, metadata={"Date": None})
    plt.close(figure)


def _draw_panel(panel: Any, stacks: Mapping[str, Any], what: str) -> None:
    names = [name for name in PAYLOADS if any(_ratio(stack, name, what) for stack in stacks.values())]
    height = 0.8 / len(stacks)
    for number, (letter, stack) in enumerate(stacks.items()):
        ratios = [_ratio(stack, name, what) for name in names]
        places = [place + number * height for place in range(len(names))]
        lengths = [(ratio or 1) - 1 for ratio in ratios]
        bars = panel.barh(places, lengths, height, left=1, label=stack["backend"], color=_COLOURS[letter])
        panel.bar_label(bars, [f"{ratio:.1f}" if ratio else "" for ratio in ratios], padding=2, fontsize=6)
    panel.set_xscale("log")
    panel.xaxis.set_major_formatter("{x:g}")
    panel.margins(x=0.1)
    panel.axvline(1, color="black", linewidth=0.8)
    panel.set_yticks(
        [place + 0.4 - height / 2 for place in range(len(names))], [PAYLOADS[name].title for name in names]
    )
    if not panel.yaxis_inverted():
        panel.invert_yaxis()
    panel.set_title(what)
    panel.spines[["top", "right"]].set_visible(False)


def _ratio(stack: Mapping[str, Any], name: str, what: str) -> float | None:
    operations = stack["payloads"].get(name, {}).get(what, {}).get("operations", {})
    if OWN not in operations or THEIRS not in operations:
        return None
    return float(operations[OWN]["median"] / operations[THEIRS]["median"])
