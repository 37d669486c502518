from __future__ import annotations

import json

from tests import generated_values
from tests.generated_values import Maker
from tests.same import same


def test_the_generator_makes_the_same_value_of_the_same_seed():
    assert all(same(Maker(f"s:{number}").object(), Maker(f"s:{number}").object()) for number in range(50))
    kinds = {type(Maker(f"s:{number}").object()) for number in range(300)}
    assert len(kinds) == len(generated_values.CLASSES)


def test_a_value_that_arrives_changed_would_be_found(tmp_path, capsys, monkeypatch):
    class Exact:
        def encode(self, value):
            return "exact", [b"x"]

        def decode(self, name, encoded):
            return Maker("other").object()

    monkeypatch.setattr(generated_values, "create_codecs", Exact)
    generated_values.push("unit", 0, 20, tmp_path / "payloads")
    generated_values.pull("unit", 0, tmp_path / "payloads")

    outcomes = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {kind for _, kind, _ in outcomes} == {"differs"}
    assert len(outcomes) == 20
