import io
import json
import sys

import pytest

from airflow_provider_exclusive.cli import output
from airflow_provider_exclusive.exceptions import ConfigurationError


def test_a_package_error_ends_with_its_message_and_no_traceback():
    @output.failing_clearly
    def command(args):
        raise ConfigurationError("the option is wrong")

    with pytest.raises(SystemExit) as ended:
        command(None)
    assert ended.value.code == "the option is wrong"


def test_what_a_terminal_cannot_show_is_escaped(mocker):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    mocker.patch.object(sys, "stdout", terminal)
    output.failing_clearly(lambda args: output.emit("é…"))(None)
    terminal.flush()
    assert terminal.buffer.getvalue() == b"\\xe9\\u2026\n"


def test_an_error_of_nobody_is_not_hidden():
    @output.failing_clearly
    def command(args):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        command(None)


@pytest.mark.parametrize("hostile", ["\x1b[2J", "a\rb", "\x9b31m", "line\nbreak", "\u202egnp.exe", "\ud800"])
def test_a_table_executes_nothing_of_what_it_shows(hostile, capsys):
    output.emit_table(["key"], [[hostile]])
    shown = capsys.readouterr().out
    assert [character for character in shown if not character.isprintable() and character != "\n"] == []
    assert hostile.encode("unicode_escape").decode() in shown


def test_a_table_takes_no_cell_for_markup(capsys):
    output.emit_table(["option"], [["[exclusive] private_key [/] :warning:"]])
    assert "[exclusive] private_key [/] :warning:" in capsys.readouterr().out


def test_json_is_ascii_and_reads_back(capsys):
    output.emit_json({"key": "\x9b\x1b\u202e"})
    shown = capsys.readouterr().out
    assert shown.isascii()
    assert "\x1b" not in shown
    assert json.loads(shown) == {"key": "\x9b\x1b\u202e"}


@pytest.mark.parametrize(
    ("unknown", "said"), [("lod", "; did you mean 'load'?"), ("zzz", "")], ids=["near", "far from all"]
)
def test_a_near_name_is_suggested_and_a_far_one_is_not(unknown, said):
    assert output.did_you_mean(unknown, ["extract", "load"]) == said
