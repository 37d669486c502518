"""
Objects of classes nested at random over all supported types, pushed in one process and pulled in another.

``python -m tests.generated_values [COUNT] [SEED]`` prints how many arrive as they were. Both processes generate the same
values from the same seed, each in a time zone of its own.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from ipaddress import ip_address, ip_network
from pathlib import Path, PosixPath
from uuid import UUID

import numpy as np
import pandas as pd
import pendulum
import polars as pl
import pyarrow as pa

from airflow_provider_exclusive.exceptions import CodecError
from tests import classes
from tests.same import same
from tests.zones import ZONES

ROOT = Path(__file__).resolve().parent.parent
JOURNEYS = (
    ("UTC", "America/New_York"),
    ("America/New_York", "Asia/Tokyo"),
    ("Asia/Tokyo", "Europe/Berlin"),
    ("Europe/Berlin", "UTC"),
)
DEPTH = 4
WORDS = ("a", "b", "name", "Grüße 🎈", "", "x" * 300, "\udc80", "a\0b")


class Maker:
    """Makes one value; the same seed makes the same value in every process."""

    def __init__(self, seed):
        self.draw = random.Random(seed)

    def object(self, depth=DEPTH):
        return getattr(self, self.draw.choice(CLASSES))(depth)

    def part(self, depth):
        if depth <= 0 or self.draw.random() < 0.3:
            return self.leaf()
        if self.draw.random() < 0.5:
            return self.object(depth - 1)
        return self.container(depth - 1)

    def leaf(self):
        return self.draw.choice(LEAVES)(self)

    def hashable(self, depth):
        if depth > 0 and self.draw.random() < 0.3:
            return classes.Point(self.number(), tuple(self.hashable(depth - 1) for _ in range(2)))
        return self.draw.choice(HASHABLE)(self)

    def number(self):
        return self.draw.choice((0, -1, self.draw.randrange(2**40), -(2**63), 2**64, 2**100))

    def real(self):
        return self.draw.choice((0.1, -0.0, float("inf"), float("nan"), self.draw.random() * 1e300))

    def text(self):
        return self.draw.choice(WORDS)

    def zone(self):
        return ZONES[self.draw.choice(sorted(ZONES))]

    def moment(self):
        naive = datetime(self.draw.randrange(1950, 2100), 7, 1) + timedelta(seconds=self.draw.randrange(10**7))
        naive = naive.replace(microsecond=self.draw.randrange(10**6), fold=self.draw.randrange(2))
        return naive if self.draw.random() < 0.5 else naive.replace(tzinfo=self.zone())

    def clock(self):
        return time(self.draw.randrange(24), 30, tzinfo=self.draw.choice((None, self.zone())))

    def pendulum(self):
        zone = self.draw.choice(("UTC", "Europe/Paris", "America/New_York", None))
        return pendulum.datetime(self.draw.randrange(1990, 2030), 3, 30, 2, 30, tz=zone)

    def frame(self):
        rows = self.draw.randrange(1, 4)
        data = {
            "number": [self.draw.random() for _ in range(rows)],
            "text": [self.draw.choice(("a", None)) for _ in range(rows)],
            "at": pd.to_datetime([datetime(2026, 1, 1)] * rows).tz_localize(self.draw.choice((None, "Europe/Berlin"))),
            "cell": [np.arange(self.draw.randrange(3)) for _ in range(rows)],
            "object": pd.Series([self.draw.choice((1, "a", (1, 2), None)) for _ in range(rows)], dtype=object),
        }
        return pd.DataFrame({name: data[name] for name in self.draw.sample(sorted(data), self.draw.randrange(1, 5))})

    def array(self):
        kind = self.draw.choice(("int8", "float64", "bool", "M8[s]", "U3", "complex64"))
        return np.arange(6).astype(kind).reshape(self.draw.choice(((6,), (2, 3), (3, 2, 1))))

    def container(self, depth):
        parts = [self.part(depth) for _ in range(self.draw.randrange(4))]
        keys = [self.hashable(depth) for _ in parts]
        return self.draw.choice(
            (
                lambda: parts,
                lambda: tuple(parts),
                lambda: dict(zip(keys, parts, strict=True)),
                lambda: set(keys),
                lambda: frozenset(keys),
                lambda: deque(parts, maxlen=self.draw.choice((None, 5))),
                lambda: OrderedDict(zip(keys, parts, strict=True)),
                lambda: defaultdict(list, zip(keys, parts, strict=True)),
            )
        )()

    def Record(self, depth):  # noqa: N802  # named like their classes
        value = classes.Record(self.moment(), self.part(depth))
        if self.draw.random() < 0.3:
            value.extra = self.part(depth)
        return value

    def Slim(self, depth):  # noqa: N802
        return classes.Slim(self.moment(), self.part(depth))

    def SlimOpen(self, depth):  # noqa: N802
        return classes.SlimOpen(self.moment(), self.part(depth))

    def Track(self, depth):  # noqa: N802
        return classes.Track(hidden=self.part(depth), part=self.part(depth))

    def Stone(self, depth):  # noqa: N802
        return classes.Stone(self.moment(), self.part(depth))

    def Loose(self, depth):  # noqa: N802
        return classes.Loose(self.part(depth))

    def Model(self, depth):  # noqa: N802
        extras = {f"extra_{number}": self.part(depth) for number in range(self.draw.randrange(3))}
        fields = {"at": self.moment(), "hour": self.clock(), "part": self.part(depth)}
        chosen = {name: fields[name] for name in self.draw.sample(sorted(fields), self.draw.randrange(4))}
        value = classes.Model(**chosen, **extras)
        if self.draw.random() < 0.5:
            value._token = self.part(depth)
        return value

    def Patch(self, depth):  # noqa: N802
        return classes.Patch(**{name: "x" for name in ("name", "email") if self.draw.random() < 0.5})

    def Aliased(self, depth):  # noqa: N802
        return classes.Aliased(Number=self.draw.randrange(9))

    def Closed(self, depth):  # noqa: N802
        return classes.Closed(width=self.draw.randrange(9))

    def Choosy(self, depth):  # noqa: N802
        return classes.Choosy.model_construct(number=self.part(depth))

    def Rich(self, depth):  # noqa: N802
        return classes.Rich(
            url=self.draw.choice(("http://x/a?b=c", "https://user@host:1/")),
            secret="s",
            address=self.draw.choice(("10.0.0.1", "::1")),
            colour=self.draw.choice(list(classes.Colour)),
            inner=self.Patch(depth),
        )

    def Numbers(self, depth):  # noqa: N802
        return classes.Numbers([1] * self.draw.randrange(3))

    def IntPage(self, depth):  # noqa: N802
        return classes.IntPage(items=[1, 2])

    def Checked(self, depth):  # noqa: N802
        return classes.Checked(self.draw.randrange(9), self.moment())

    def Plain(self, depth):  # noqa: N802
        return classes.Plain(**{name: self.part(depth) for name in ("a", "_b", "c")[: self.draw.randrange(4)]})

    def Slotted(self, depth):  # noqa: N802
        value = classes.Slotted(self.part(depth))
        value.other = self.part(depth)
        return value

    def Counted(self, depth):  # noqa: N802
        return classes.Counted(self.part(depth))

    def Inner(self, depth):  # noqa: N802
        return classes.Outer.Inner(self.part(depth))


CLASSES = sorted(name for name in vars(Maker) if name[0].isupper())
HASHABLE = (
    Maker.number,
    Maker.text,
    lambda make: None,
    lambda make: make.draw.random() < 0.5,
    lambda make: b"\x00\xff",
    lambda make: date(2026, 1, make.draw.randrange(1, 29)),
    lambda make: Decimal("1.10"),
    lambda make: UUID(int=make.draw.randrange(2**128)),
    lambda make: (make.draw.randrange(5), "a"),
    lambda make: classes.Level.LOW,
)
LEAVES = (
    *HASHABLE,
    Maker.real,
    Maker.moment,
    Maker.clock,
    Maker.zone,
    Maker.pendulum,
    Maker.frame,
    Maker.array,
    lambda make: complex(make.real(), 1),
    lambda make: bytearray(b"x"),
    lambda make: timedelta(days=make.draw.randrange(-999, 999), microseconds=1),
    lambda make: PosixPath("/data/in.csv"),
    lambda make: range(0, 10, 3),
    lambda make: Counter("abracadabra"),
    lambda make: ip_address("10.0.0.1"),
    lambda make: ip_network("::/8"),
    lambda make: Fraction(1, 3),
    lambda make: pendulum.duration(years=1, days=3, seconds=4),
    lambda make: make.draw.choice(list(classes.Colour)),
    lambda make: classes.Rights(make.draw.randrange(4)),
    lambda make: np.float32(0.1),
    lambda make: np.datetime64("2026-01-01"),
    lambda make: pd.Timestamp("2026-01-01 12:00", tz=make.draw.choice((None, "Europe/Berlin"))),
    lambda make: pd.NaT,
    lambda make: pd.Series(["a", None, "b"], name="s"),
    lambda make: pd.array([1, None], dtype="Int64"),
    lambda make: pl.DataFrame({"a": [1, None], "b": [["x"], []]}),
    lambda make: pa.table({"a": [1, None]}),
)


def push(seed, first, count, file):
    """Encode values and write them, or the type of the error, one a line."""
    codecs = create_codecs()
    with Path(file).open("w", encoding="ascii") as lines:
        for number in range(first, first + count):
            try:
                name, pieces = codecs.encode(Maker(f"{seed}:{number}").object())
                line = [name, b"".join(pieces).hex()]
            except CodecError as refused:
                line = ["refused", str(refused)]
            except Exception as failure:
                line = ["untyped", repr(failure)]
            lines.write(json.dumps(line) + "\n")


def pull(seed, first, file):
    """Decode the values, and print what became of each that is not as it was."""
    codecs = create_codecs()
    for number, line in enumerate(Path(file).read_text(encoding="ascii").splitlines(), first):
        name, encoded = json.loads(line)
        outcome = (name, encoded) if name in {"refused", "untyped"} else None
        try:
            value = Maker(f"{seed}:{number}").object()
            if outcome is None and not same(codecs.decode(name, memoryview(bytearray.fromhex(encoded))), value):
                outcome = ("differs", type(value).__qualname__)
        except CodecError as refused:
            outcome = ("refused", str(refused))
        except Exception as failure:
            outcome = ("untyped", repr(failure))
        if outcome is not None:
            print(json.dumps([number, *outcome]))


def create_codecs():
    from airflow_provider_exclusive import wiring

    return wiring.create_codecs(allow_cloudpickle=False)


def check(count, seed, journeys=JOURNEYS):
    """Send ``count`` values and return what went wrong, a list of number, kind and description."""
    found = []
    each = -(-count // len(journeys))
    with tempfile.TemporaryDirectory() as folder:
        for position, (there, here) in enumerate(journeys):
            file, first = f"{folder}/{position}", position * each
            _run(there, "push", seed, first, each, file)
            found += map(json.loads, _run(here, "pull", seed, first, file).splitlines())
    return found


def _run(zone, *arguments):
    variables = {
        "TZ": zone,
        "PYTHONPATH": str(ROOT),
        "AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES": f"{classes.MODULE}.*",
    }
    command = [sys.executable, "-m", "tests.generated_values", *map(str, arguments)]
    done = subprocess.run(command, env=os.environ | variables, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return "\n".join(line for line in done.stdout.splitlines() if line.startswith("["))


def main(arguments):
    if arguments[:1] == ["push"]:
        push(arguments[1], int(arguments[2]), int(arguments[3]), arguments[4])
    elif arguments[:1] == ["pull"]:
        pull(arguments[1], int(arguments[2]), arguments[3])
    else:
        count = int(arguments[0]) if arguments else 5000
        found = check(count, arguments[1] if arguments[1:] else "1")
        for number, kind, what in found[:20]:
            print(number, kind, what)
        kinds = Counter(kind for _, kind, _ in found)
        print(
            f"{count} objects, {kinds['differs']} differ, {kinds['refused']} refused, {kinds['untyped']} untyped errors"
        )
        return bool(found)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
