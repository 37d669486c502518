"""The ``[exclusive]`` section, over a stand-in for Airflow's ``conf``; ``integration/test_installation.py`` has the real one."""

import base64
import configparser
import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from airflow_provider_exclusive import config
from airflow_provider_exclusive.crypto import keyring
from airflow_provider_exclusive.crypto.data_keys import LocalDataKeys, ServerDataKeys
from airflow_provider_exclusive.exceptions import ConfigurationError
from airflow_provider_exclusive.format.options import wrong_field


def make_key(name):
    return base64.b64encode(hashlib.sha256(name.encode()).digest()).decode()


def public_half(private_key):
    return keyring.format_key(keyring.PrivateKey.from_raw(base64.b64decode(private_key)).public)


CURRENT, OLD = make_key("current"), make_key("old")
FERNET, OLD_FERNET = (base64.urlsafe_b64encode(base64.b64decode(make_key(name))).decode() for name in ("new", "former"))
NOT_KEYS = {
    "a passphrase": "correct horse battery staple",
    "31 bytes": base64.b64encode(bytes(range(7, 224, 7))).decode(),
    "33 bytes": base64.b64encode(hashlib.sha256(b"x").digest() + b"!").decode(),
    "a key without its padding": CURRENT.rstrip("="),
    "a key and rubbish": CURRENT + "!",
    "a key in hex": hashlib.sha256(b"x").hexdigest(),
    "letters outside ASCII": "ключ" * 11,
}
GUESSABLE = {
    "zeros": base64.b64encode(bytes(32)).decode(),
    "a count": base64.b64encode(bytes(range(32))).decode(),
    "a passphrase of 32 letters": base64.b64encode(b"correct horse battery staple 123").decode(),
}


class Conf:
    """Airflow's ``conf`` as far as it matters here: a ConfigParser whose values are text, with a fallback."""

    def __init__(self):
        self.parser = configparser.ConfigParser(interpolation=None)

    def set(self, section, option, value):
        if not self.parser.has_section(section):
            self.parser.add_section(section)
        self.parser.set(section, option, value)

    def get(self, section, option, fallback=None):
        return self.parser.get(section, option, fallback=fallback)

    def getsection(self, section):
        return dict(self.parser[section]) if self.parser.has_section(section) else None


@pytest.fixture
def configure(mocker):
    """Set options of ``[exclusive]``; ``fernet_key`` is that of ``[core]``."""
    conf = Conf()
    mocker.patch.object(config, "_conf", return_value=conf)

    def configure(*, fernet_key=None, **options):
        if fernet_key is not None:
            conf.set("core", "fernet_key", fernet_key)
        for option, value in options.items():
            conf.set("exclusive", option, value)
        return config.read_settings()

    return configure


def refusal(call):
    with pytest.raises(ConfigurationError) as caught:
        call()
    return caught.value


class TestBadOptions:
    @pytest.mark.parametrize("option", ["inline_bytes", "offload_bytes", "ttl_seconds"])
    @pytest.mark.parametrize(
        "value",
        ["", "many", "-1", "+1", "1.5", "1e3", "1_000", "0x10", "٣", pytest.param("9" * 5000, id="too many digits")],
    )
    def test_an_invalid_number_names_option_value_and_expectation(self, configure, option, value):
        error = refusal(lambda: configure(**{option: value}))
        assert error.option == f"[exclusive] {option}"
        assert f"[exclusive] {option} = {value!r}: expected a whole number from 0 to " in str(error)

    @pytest.mark.parametrize("value", [config.MAX_TTL_SECONDS + 1, 10**11, 10**18])
    def test_a_lifetime_beyond_any_date_is_refused_on_reading(self, configure, value):
        error = refusal(lambda: configure(ttl_seconds=str(value)))
        assert str(error) == f"[exclusive] ttl_seconds = '{value}': expected a whole number from 0 to 3153600000."

    @pytest.mark.parametrize("content", ["0", "1023", "2147483649", "x", "-1"])
    def test_a_limit_on_values_is_refused_out_of_its_range(self, configure, content):
        error = refusal(lambda: configure(max_value_bytes=content))
        assert str(error).endswith("expected a whole number from 1024 to 2147483648.")

    @pytest.mark.parametrize("option", ["inline_bytes", "offload_bytes"])
    def test_a_size_beyond_every_payload_is_refused(self, configure, option):
        assert refusal(lambda: configure(**{option: str(2**31)})).option == f"[exclusive] {option}"

    @pytest.mark.parametrize("value", ["", "yes", "on", "2", "None"])
    def test_a_truth_that_is_none_is_refused(self, configure, value):
        error = refusal(lambda: configure(allow_cloudpickle=value))
        assert error.option == "[exclusive] allow_cloudpickle"
        assert "expected one of true, false, 1, 0." in str(error)

    @pytest.mark.parametrize("value", ["", "Denied", "everything"])
    def test_an_unknown_audit_names_the_choices(self, configure, value):
        error = refusal(lambda: configure(audit=value))
        assert str(error) == f"[exclusive] audit = {value!r}: expected one of off, denied, all."

    @pytest.mark.parametrize("value", ["", "Error", "strict"])
    def test_an_unknown_parse_check_names_the_choices(self, configure, value):
        configure(parse_check=value)
        error = refusal(config.read_parse_check)
        assert str(error) == f"[exclusive] parse_check = {value!r}: expected one of error, warn, off."
        assert error.option == "[exclusive] parse_check"

    def test_any_airflow_error_about_an_option_names_that_option(self, mocker):
        class Broken:
            def get(self, section, option, fallback=None):
                raise RuntimeError("Cannot execute get-secret.")

        mocker.patch.object(config, "_conf", Broken)
        error = refusal(config.read_parse_check)
        assert str(error).startswith("[exclusive] parse_check cannot be read (RuntimeError).")
        assert isinstance(error.__cause__, RuntimeError)


class TestIndirectForms:
    @pytest.mark.parametrize("option", ["conn_id_secret", "storage_cmd", "ttl_seconds_cmd"])
    def test_a_form_that_airflow_ignores_is_refused(self, configure, option):
        error = refusal(lambda: configure(**{option: "somewhere"}))

        assert error.option == f"[exclusive] {option}"
        assert "for keys only" in str(error)


class TestBadPrivateKeys:
    @pytest.mark.parametrize("key", NOT_KEYS.values(), ids=NOT_KEYS)
    def test_what_is_no_key_is_refused_and_not_repeated(self, configure, key):
        settings = configure(private_key=key, fernet_key=FERNET)
        error = refusal(lambda: config.read_keyring(settings))
        assert error.option == "[exclusive] private_key"
        assert "[exclusive] private_key is not a key: expected base64 of exactly 32 random bytes" in str(error)
        assert keyring.HOW_TO_MAKE_A_KEY in str(error)
        assert key not in str(error)

    @pytest.mark.parametrize("key", GUESSABLE.values(), ids=GUESSABLE)
    def test_what_can_be_guessed_is_refused_and_not_repeated(self, configure, key):
        settings = configure(private_key=key)
        error = refusal(lambda: config.read_keyring(settings))
        assert "it can be guessed" in str(error)
        assert key not in str(error)

    @pytest.mark.parametrize("keys", ["{good},{bad}", "{bad},{good}", "{good}\n{bad}", "{good} {bad}"])
    def test_one_bad_key_in_a_list_spoils_it(self, configure, keys):
        settings = configure(private_key=keys.format(good=CURRENT, bad="short"))
        assert refusal(lambda: config.read_keyring(settings)).option == "[exclusive] private_key"

    def test_a_passphrase_of_several_words_is_counted_as_one(self, configure):
        passphrase = "my very secret passphrase for airflow"
        error = refusal(lambda: config.read_keyring(configure(private_key=passphrase)))
        assert f"got {len(passphrase)} characters" in str(error)
        assert "passphrase" not in str(error)

    def test_a_list_of_nothing_is_no_keyring(self, configure):
        settings = configure(private_key=" , ,", fernet_key=FERNET)
        assert "at least one private key" in str(refusal(lambda: config.read_keyring(settings)))

    def test_a_key_listed_twice_is_refused(self, configure):
        settings = configure(private_key=f"{CURRENT},{OLD},{CURRENT}")
        assert "lists the same key twice" in str(refusal(lambda: config.read_keyring(settings)))

    @pytest.mark.parametrize("source", ["private_key_cmd", "private_key_secret"])
    def test_an_empty_source_does_not_fall_back_to_another_key(self, configure, source):
        settings = configure(fernet_key=FERNET, **{source: "where it is"})
        error = refusal(lambda: config.read_keyring(settings))
        assert error.option == f"[exclusive] {source}"
        assert f"[exclusive] {source} is set, and what it names is empty or not there." in str(error)


class TestBadPublicKeys:
    def test_a_mismatched_public_key_is_refused_with_the_right_one(self, configure):
        settings = configure(private_key=CURRENT, public_key=public_half(OLD))
        error = refusal(lambda: config.read_keyring(settings))
        assert error.option == "[exclusive] public_key"
        assert f"Set it to {public_half(CURRENT)} or unset it." in str(error)
        assert CURRENT not in str(error)

    def test_swapped_keys_are_reported_and_not_repeated(self, configure):
        settings = configure(private_key=public_half(CURRENT), public_key=CURRENT)
        error = refusal(lambda: config.read_keyring(settings))
        assert "are swapped. Swap them back." in str(error)
        assert CURRENT not in str(error)
        assert public_half(public_half(CURRENT)) not in str(error)

    def test_one_that_belongs_to_the_second_private_key_is_refused(self, configure):
        settings = configure(private_key=f"{CURRENT},{OLD}", public_key=public_half(OLD))
        assert refusal(lambda: config.read_keyring(settings)).option == "[exclusive] public_key"

    def test_the_private_key_itself_is_refused_as_its_public_half(self, configure):
        settings = configure(private_key=CURRENT, public_key=CURRENT)
        error = refusal(lambda: config.read_keyring(settings))
        assert error.option == "[exclusive] public_key"
        assert CURRENT not in str(error)

    @pytest.mark.parametrize("key", [*NOT_KEYS.values(), *GUESSABLE.values()], ids=[*NOT_KEYS, *GUESSABLE])
    def test_what_is_no_key_is_refused(self, configure, key):
        settings = configure(private_key=CURRENT, public_key=key)
        assert refusal(lambda: config.read_keyring(settings)).option == "[exclusive] public_key"

    def test_a_public_key_alone_says_a_private_key_is_needed(self, configure):
        settings = configure(public_key=public_half(CURRENT), fernet_key=FERNET)
        error = refusal(lambda: config.read_keyring(settings))
        assert error.option == "[exclusive] private_key"
        assert "right for a worker" in str(error)

    def test_a_worker_with_only_the_public_key_is_sent_data_keys(self, configure):
        settings = configure(public_key=public_half(CURRENT), fernet_key=FERNET)
        assert isinstance(config.read_data_keys(settings), ServerDataKeys)

    def test_whoever_holds_the_private_key_has_its_own(self, configure):
        settings = configure(public_key=public_half(CURRENT), private_key=CURRENT)
        assert isinstance(config.read_data_keys(settings), LocalDataKeys)

    @pytest.mark.parametrize("key", [*NOT_KEYS.values(), *GUESSABLE.values()], ids=[*NOT_KEYS, *GUESSABLE])
    def test_a_worker_refuses_what_is_no_public_key(self, configure, key):
        settings = configure(public_key=key)
        assert refusal(lambda: config.read_data_keys(settings)).option == "[exclusive] public_key"


class TestBadFernetKeys:
    @pytest.mark.parametrize("fernet_key", [None, "", " ", ",", "{FERNET_KEY}", " {FERNET_KEY}\n"])
    def test_a_missing_or_placeholder_key_names_both_options(self, configure, fernet_key):
        settings = configure(fernet_key=fernet_key)
        error = refusal(lambda: config.read_keyring(settings))
        assert error.option == "[core] fernet_key"
        assert "neither [exclusive] private_key nor [core] fernet_key is set" in str(error)
        assert keyring.HOW_TO_MAKE_A_KEY in str(error)

    @pytest.mark.parametrize("fernet_key", [*NOT_KEYS.values(), *GUESSABLE.values()], ids=[*NOT_KEYS, *GUESSABLE])
    def test_nothing_is_derived_from_what_is_no_key(self, configure, fernet_key):
        settings = configure(fernet_key=fernet_key)
        error = refusal(lambda: config.read_keyring(settings))
        assert error.option == "[core] fernet_key"
        assert str(error).startswith("Exclusive values need a key, and none can be derived: [core] fernet_key ")
        assert str(error).endswith("Or set [exclusive] private_key.")
        assert fernet_key not in str(error)

    @pytest.mark.parametrize(
        "fernet_key", [f"{FERNET},short", f"short,{FERNET}", f"{FERNET},", f"{FERNET},{{FERNET_KEY}}"]
    )
    def test_one_bad_part_of_several_spoils_all(self, configure, fernet_key):
        settings = configure(fernet_key=fernet_key)
        error = refusal(lambda: config.read_keyring(settings))
        assert error.option == "[core] fernet_key"
        assert FERNET not in str(error)


class TestSettings:
    def test_without_any_option_they_are_the_defaults(self, configure):
        settings = configure()
        assert settings == config.Settings(
            conn_id="",
            storage="",
            public_key="",
            private_key="",
            inline_bytes=512,
            offload_bytes=65536,
            max_value_bytes=2**31,
            ttl_seconds=30 * 24 * 3600,
            allow_cloudpickle=False,
            audit="denied",
        )
        assert config.read_parse_check() == "error"

    def test_a_life_of_0_seconds_is_for_ever(self, configure):
        assert configure(ttl_seconds="0").ttl_seconds is None

    def test_the_longest_life_still_ends_at_a_date(self, configure):
        settings = configure(ttl_seconds=str(config.MAX_TTL_SECONDS))
        assert (datetime.now(UTC) + timedelta(seconds=settings.ttl_seconds)).year > 2100

    @pytest.mark.parametrize(
        ("text", "value"), [("True", True), ("true", True), ("1", True), ("FALSE", False), ("0", False)]
    )
    def test_truths_are_read_as_airflow_writes_them(self, configure, text, value):
        assert configure(allow_cloudpickle=text).allow_cloudpickle is value

    @pytest.mark.parametrize(
        ("options", "configured"), [({}, False), ({"conn_id": "x"}, True), ({"storage": "s3://b"}, True)]
    )
    def test_a_store_is_configured_once_it_is_named(self, configure, options, configured):
        assert configure(**options).has_configured_store is configured

    def test_an_invalid_setting_is_refused_without_showing_the_key(self, configure):
        chosen = configure().model_dump() | {"private_key": CURRENT}
        for wrong in ({"inline_byte": 1}, {"private_key": CURRENT.encode()[:5] + b"\xff"}, {"inline_bytes": CURRENT}):
            with pytest.raises(ValidationError) as caught:
                config.Settings(**chosen | wrong)
            assert CURRENT not in str(caught.value)
            assert wrong_field(caught.value) in wrong

    def test_settings_do_not_change(self, configure):
        with pytest.raises(ValidationError):
            configure().inline_bytes = 1

    def test_no_repr_shows_the_private_key(self, configure):
        settings = configure(private_key=CURRENT)
        assert settings.private_key == CURRENT
        assert CURRENT not in repr(settings)
        assert CURRENT not in repr(config.read_keyring(settings))


class TestUnknownOptions:
    def test_what_nobody_reads_is_named(self, configure):
        configure(inline_byte="0", private_key_cmd="cat it", conn_id="a")
        assert config.read_unknown_options() == ["inline_byte"]

    def test_without_the_section_there_are_none(self, configure):
        configure()
        assert config.read_unknown_options() == []


class TestStorageUrl:
    def test_the_named_one_wins(self, configure):
        assert configure(storage=" s3://bucket/prefix ").storage_url == "s3://bucket/prefix"

    @pytest.mark.parametrize(
        ("home", "url"),
        [
            ("/srv/airflow", "file:///srv/airflow/exclusive"),
            ("/srv/100%/a#b?c d", "file:///srv/100%25/a%23b%3Fc%20d/exclusive"),
            ("~/af", "file:///home/someone/af/exclusive"),
            ("$PLACE/af", "file:///place/af/exclusive"),
            ("", "file:///home/someone/airflow/exclusive"),
        ],
    )
    def test_the_embedded_store_is_in_airflow_home_with_any_path(self, configure, monkeypatch, home, url):
        monkeypatch.setenv("HOME", "/home/someone")
        monkeypatch.setenv("PLACE", "/place")
        monkeypatch.setenv("AIRFLOW_HOME", home)
        assert configure().storage_url == url

    def test_a_relative_airflow_home_means_the_working_directory(self, configure, monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("AIRFLOW_HOME", "af")
        assert configure().storage_url == f"file://{tmp_path}/af/exclusive"

    def test_without_airflow_home_it_lies_where_airflow_itself_does(self, configure, monkeypatch):
        monkeypatch.delenv("AIRFLOW_HOME", raising=False)
        assert configure().storage_url == (Path.home() / "airflow/exclusive").as_uri()


class TestKeyring:
    @pytest.mark.parametrize("separator", [",", ", ", "\n", ",\n", " ", "\r\n", ",,"])
    def test_private_keys_may_be_a_list_with_the_current_one_first(self, configure, separator):
        ring = config.read_keyring(configure(private_key=f"{CURRENT}{separator}{OLD}"))
        assert [key.key_id for key in ring.keys] == [
            config.read_keyring(configure(private_key=key)).current_key_id for key in (CURRENT, OLD)
        ]

    def test_the_newline_a_command_prints_is_not_part_of_the_key(self, configure):
        plain = config.read_keyring(configure(private_key=CURRENT)).current_key_id
        assert config.read_keyring(configure(private_key=f"{CURRENT}\n")).current_key_id == plain

    def test_the_public_half_of_the_first_private_key_is_accepted(self, configure):
        settings = configure(private_key=f"{CURRENT},{OLD}", public_key=public_half(CURRENT) + "\n")
        assert keyring.format_key(config.read_keyring(settings).keys[0].public) == public_half(CURRENT)

    def test_the_private_key_wins_over_even_an_invalid_fernet_key(self, configure):
        settings = configure(private_key=CURRENT, fernet_key="{FERNET_KEY}")
        assert len(config.read_keyring(settings).keys) == 1

    def test_each_rotated_fernet_key_gives_a_key_in_order(self, configure):
        ring = config.read_keyring(configure(fernet_key=f"{FERNET}, {OLD_FERNET}"))
        assert [key.key_id for key in ring.keys] == [
            config.read_keyring(configure(fernet_key=key)).current_key_id for key in (FERNET, OLD_FERNET)
        ]

    def test_a_fernet_key_listed_twice_counts_once(self, configure):
        assert len(config.read_keyring(configure(fernet_key=f"{FERNET},{FERNET}")).keys) == 1

    def test_what_is_derived_is_not_the_fernet_key_itself(self, configure):
        derived = config.read_keyring(configure(fernet_key=FERNET))
        itself = keyring.Keyring.from_raw_keys([base64.urlsafe_b64decode(FERNET)])
        assert derived.current_key_id != itself.current_key_id
