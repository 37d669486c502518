import configparser
import json
from argparse import Namespace

import pytest

from airflow_provider_exclusive import config
from airflow_provider_exclusive.cli.keygen import keygen
from airflow_provider_exclusive.crypto.keyring import PrivateKey, format_key, parse_key


@pytest.fixture
def generate(capsys):
    def generate(form):
        keygen(Namespace(output=form))
        printed = capsys.readouterr()
        assert printed.err == ""
        return printed.out

    return generate


def test_the_text_can_be_pasted_into_airflow_cfg_as_it_is(generate):
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(generate("text"))
    assert parser.sections() == [config.SECTION]
    pair = dict(parser[config.SECTION])
    assert set(pair) == {"private_key", "public_key"}
    private = PrivateKey.from_raw(parse_key(pair["private_key"], option="private_key"))
    assert pair["public_key"] == format_key(private.public)


def test_it_says_who_gets_which_key_and_how_to_store_it(generate):
    said = generate("text")
    for hint in (
        "API server",
        "worker needs only public_key",
        "private_key_cmd",
        "private_key_secret",
        "#changing-the-key",
    ):
        assert hint in said


def test_json_holds_the_same_pair_under_stable_names(generate):
    pair = json.loads(generate("json"))
    assert list(pair) == ["private_key", "public_key", "key_id"]
    private = PrivateKey.from_raw(parse_key(pair["private_key"], option="private_key"))
    assert (pair["public_key"], pair["key_id"]) == (format_key(private.public), private.key_id)


def test_no_two_pairs_are_alike(generate):
    assert len({json.loads(generate("json"))["private_key"] for _ in range(20)}) == 20


def test_nothing_is_logged(generate, caplog):
    caplog.set_level(0)
    generate("text")
    assert caplog.records == []
