import base64
import inspect
import json
import os
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_exclusive import store as store_module
from airflow_provider_exclusive.codecs.base import CodecRegistry
from airflow_provider_exclusive.codecs.cloudpickle import CloudpickleCodec
from airflow_provider_exclusive.codecs.msgpack.codec import MsgpackCodec
from airflow_provider_exclusive.crypto import sealing
from airflow_provider_exclusive.crypto.keyring import Keyring
from airflow_provider_exclusive.crypto.sealing import TAG_BYTES
from airflow_provider_exclusive.exceptions import (
    AccessDeniedError,
    CodecError,
    ConfigurationError,
    EnvelopeError,
    ExclusiveError,
    InvalidScopeError,
    PayloadNotFoundError,
    StorageError,
    StorageUnavailableError,
)
from airflow_provider_exclusive.format.reference import MARKER, Reference
from airflow_provider_exclusive.scopes.identity import Coordinate, TaskIdentity
from airflow_provider_exclusive.scopes.scope import OPEN, Clause, ConsumerScope
from airflow_provider_exclusive.storage.object_keys import check_object_key, new_object_id, object_key, object_prefix
from airflow_provider_exclusive.store import object_key_of
from tests.fakes import FailingDriver, InMemoryDriver
from tests.rows import forged
from tests.sealed import seal

INTRUDER = TaskIdentity("etl", "run-1", "intruder")
OTHER_TRY = "0193b1a2-0000-7000-8000-00000000000f"


# --- the order of things


@pytest.fixture
def events():
    return []


@pytest.fixture
def recording(events, make_store, driver, raw_key):
    """A store whose parts note what is asked of them."""

    class RecordingDriver(type(driver)):
        def store(self, key, payload, *, ttl_seconds):
            events.append("store")
            super().store(key, payload, ttl_seconds=ttl_seconds)

        def read_many(self, wanted):
            events.append(f"fetch {len(wanted)}")
            super().read_many(wanted)

    class RecordingKeyring(Keyring):
        def wrap(self, secret, *, context):
            events.append("wrap")
            return Keyring.wrap(self, secret, context=context)

        def unwrap(self, wrapped, *, key_id, context):
            events.append("unwrap")
            return Keyring.unwrap(self, wrapped, key_id=key_id, context=context)

    return make_store(driver=RecordingDriver(), keyring=RecordingKeyring.from_raw_keys([raw_key("current")]))


@pytest.fixture
def recording_scope(events):
    class RecordingScope(ConsumerScope):
        def permits(self, reader):
            events.append("decide")
            return ConsumerScope.permits(self, reader)

    return RecordingScope((Clause("etl", "load", "run-1"),))


def test_a_denied_reader_costs_no_key_and_no_fetch(recording, recording_scope, put, events):
    references = [put(into=recording, scope=recording_scope) for _ in range(2)]
    events.clear()
    with pytest.raises(AccessDeniedError):
        recording.get(references[0], reader=INTRUDER)
    with pytest.raises(AccessDeniedError):
        recording.get_many(references, reader=None)
    assert events == ["decide"]


def test_a_reference_that_does_not_open_costs_no_fetch(recording, put, consumer, events):
    reference = put(into=recording)
    events.clear()
    with pytest.raises(EnvelopeError):
        recording.get(replace(reference, codec="other"), reader=consumer)
    assert events == ["unwrap"]


def test_reading_decides_then_unwraps_then_fetches_once(recording, recording_scope, put, consumer, events):
    references = [put(n, into=recording, scope=recording_scope) for n in range(3)]
    events.clear()
    assert recording.get_many(references, reader=consumer) == [0, 1, 2]
    assert events == ["decide"] * 3 + ["unwrap"] * 3 + ["fetch 3"]


def test_writing_wraps_then_stores_and_only_then_returns(recording, put, events):
    reference = put(into=recording)
    assert events == ["wrap", "store"]
    assert list(recording.driver.payloads) == [object_key_of(reference)]


def test_nothing_to_read_asks_nobody(recording, consumer, events):
    assert recording.get_many([], reader=consumer) == []
    assert events == []


def test_inline_values_ask_no_driver(recording, put, consumer, events):
    reference = put(into=replace(recording, inline_bytes=1000))
    assert recording.get(reference, reader=consumer) == "a value"
    assert events == ["wrap", "unwrap"]


def test_a_store_that_is_not_set_up_keeps_small_values(make_store, put, consumer):
    def open_driver():
        raise ConfigurationError("there is no connection")

    store = replace(make_store(inline_bytes=1000), open_driver=open_driver)
    assert store.get(put(into=store), reader=consumer) == "a value"
    with pytest.raises(ConfigurationError, match="there is no connection"):
        put("x" * 1000, into=store)


# --- a store in trouble


@pytest.fixture
def failing(make_store):
    """Return a store whose driver raises what it is given."""

    return lambda failure: make_store(driver=FailingDriver(error=failure))


def test_a_value_that_is_not_kept_has_no_reference(failing, put):
    with pytest.raises(StorageUnavailableError):
        put(into=failing(StorageUnavailableError("down")))


def test_a_store_that_is_down_is_an_error_not_a_missing_value(failing, put, consumer):
    with pytest.raises(StorageUnavailableError):
        failing(StorageUnavailableError("down")).get(put(), reader=consumer)


@pytest.mark.parametrize(
    "change",
    [lambda sealed: sealed * 2, lambda sealed: sealed + b"\0", lambda sealed: sealed[:-1], lambda sealed: sealed[:-16]],
    ids=["twice", "one byte more", "one byte less", "without its tag"],
)
def test_a_driver_that_returns_a_wrong_size_is_refused(make_store, driver, put, consumer, change):
    class MiscountingDriver(type(driver)):
        def read_many(self, wanted):
            for one in wanted:
                one.sink.restart()
                one.sink.write(change(driver.payloads[one.key]))

    with pytest.raises(EnvelopeError, match="its payload is not what the producer wrote"):
        make_store(driver=MiscountingDriver()).get(put(), reader=consumer)


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 100])
@pytest.mark.parametrize("step", [1, 3, 16, 1000])
def test_a_payload_opens_only_once_all_its_bytes_are_there(size, step):
    payload = os.urandom(size)
    sealed = seal(payload[: size // 3], payload[size // 3 :], data_key=b"d" * 32, context=b"c")
    opening = sealing.Opening(size, data_key=b"d" * 32, context=b"c")
    opening.write(sealed[: len(sealed) // 2])
    with pytest.raises(EnvelopeError):
        opening.finish()
    opening.restart()
    assert not opening.has_begun
    for begin in range(0, len(sealed), step):
        opening.write(sealed[begin : begin + step])
    assert opening.finish() == payload


@pytest.mark.parametrize("size", [sealing.MAX_PAYLOAD_BYTES + 1, 2**63 - 1])
def test_an_impossible_size_allocates_and_fetches_nothing(size):
    with pytest.raises(EnvelopeError):
        sealing.Opening(size, data_key=b"d" * 32, context=b"c")


@pytest.mark.parametrize("value", ["x" * 3_000_000, "é" * 3_000_000, b"x" * 3_000_000, ["x" * 100] * 30_000])
def test_a_large_value_comes_back(make_store, put, consumer, value):
    store = make_store(codecs=CodecRegistry([MsgpackCodec()]))

    assert store.get(put(value, into=store), reader=consumer) == value


def test_sealing_again_gives_the_same_bytes():
    sealed = sealing.Sealing([b"a" * 300_000, b"b"], data_key=b"d" * 32, context=b"c")
    first, second = (b"".join(map(bytes, sealed)) for _ in range(2))
    assert first == second
    assert len(first) == len(sealed) == 300_001 + sealing.TAG_BYTES


class LosingReplies(InMemoryDriver):
    """Keeps every upload, and repeats the first after calling ``meanwhile``, as a driver does after a lost reply."""

    def __init__(self, meanwhile):
        super().__init__()
        self.meanwhile, self.sent = meanwhile, [bytearray(), bytearray()]

    def store(self, key, payload, *, ttl_seconds):
        for sent in self.sent:
            for piece in payload:
                sent.extend(piece)
            self.meanwhile()
        super().store(key, payload, ttl_seconds=ttl_seconds)


@pytest.mark.parametrize("begin", [0, 200_000, 999_999])
def test_a_repeated_upload_never_seals_two_values_under_one_key(make_store, producer, scope, begin):
    memory = bytearray(1_000_000)

    def overwrite():
        memory[begin:] = b"x" * len(memory[begin:])

    driver = LosingReplies(overwrite)
    with pytest.raises(CodecError, match="changed while it was being stored"):
        make_store(driver=driver).put_encoded(
            [memoryview(memory)], codec="msgpack", producer=producer, key="k", scope=scope
        )
    first, second = driver.sent
    assert len(first) == 1_000_016
    assert first.startswith(second)
    assert driver.payloads == {}


def test_a_repeated_upload_of_the_same_value_opens(make_store, put, consumer):
    store = make_store(driver=LosingReplies(lambda: None))
    assert store.get(put("x" * 1_000_000, into=store), reader=consumer) == "x" * 1_000_000


def test_a_lost_payload_names_the_task_to_clear(store, put, consumer):
    reference = put()
    store.driver.payloads.clear()
    with pytest.raises(PayloadNotFoundError, match="Clear and re-run task 'extract'"):
        store.get(reference, reader=consumer)


def test_an_expired_value_says_when(make_store, put, consumer):
    early = make_store(ttl_seconds=60)
    reference = put(into=early)
    assert early.driver.ttl_seconds[object_key_of(reference)] == 60
    late = replace(early, clock=lambda: early.clock() + timedelta(seconds=60))
    with pytest.raises(
        PayloadNotFoundError, match=f"expired at {re.escape(reference.expires_at)}.*Clear and re-run task"
    ):
        late.get(reference, reader=consumer)
    just_before = replace(early, clock=lambda: early.clock() + timedelta(seconds=59, microseconds=999_999))
    assert just_before.get(reference, reader=consumer) == "a value"


def test_a_value_that_expires_while_it_is_read_says_so(make_store, put, consumer, driver):
    class Expiring(type(driver)):
        """Passes on what there is until the end of its life, as a server that is asked for one block after the other."""

        def read_many(self, wanted):
            for one in wanted:
                one.sink.restart()
                one.sink.write(driver.payloads[one.key][:10])
            now.append(now[0] + timedelta(seconds=60))

    early = make_store(ttl_seconds=60)
    now = [early.clock()]
    reference = put(into=early)
    with pytest.raises(PayloadNotFoundError, match="expired at"):
        replace(early, open_driver=Expiring, clock=lambda: now[-1]).get(reference, reader=consumer)


def test_inline_values_and_those_without_a_limit_do_not_expire(make_store, put):
    assert put(into=make_store(ttl_seconds=60, inline_bytes=1000)).expires_at is None
    reference = put(into=make_store(ttl_seconds=None))
    assert reference.expires_at is None


def test_many_are_all_or_nothing(store, put, consumer):
    references = [put(n) for n in range(3)]
    store.driver.payloads.pop(object_key_of(references[1]))
    with pytest.raises(PayloadNotFoundError):
        store.get_many(references, reader=consumer)
    with pytest.raises(AccessDeniedError):
        store.get_many([references[0], put(scope=ConsumerScope())], reader=consumer)


def test_many_keep_their_order_inline_or_stored(make_store, put, consumer):
    store = make_store(inline_bytes=30)
    values = ["short", "long " * 20, 1, "long " * 30, "short"]
    references = [put(value, into=store) for value in values]
    assert [reference.store is not None for reference in references] == [False, True, False, True, False]
    assert store.get_many(references + references[::-1], reader=consumer) == values + values[::-1]


def test_a_value_in_another_kind_of_store_names_both_kinds(make_store, driver, put, consumer):
    class OtherDriver(type(driver)):
        type = "other"

    with pytest.raises(StorageError, match="type 'memory', but this process is configured for 'other'"):
        make_store(driver=OtherDriver()).get(put(), reader=consumer)


def test_the_driver_s_limit_holds_to_the_byte(make_store, driver, put):
    driver.max_payload_bytes = 100
    with pytest.raises(StorageError, match=r"key 'return_value' is 85 bytes encoded; .* accepts at most 84"):
        put("x" * 83, into=make_store())
    assert driver.payloads == {}
    put("x" * 82, into=make_store())
    assert [len(sealed) for sealed in driver.payloads.values()] == [100]


def test_a_value_over_the_limit_is_refused_at_the_push(make_store, put):
    limited = make_store(max_value_bytes=100)
    put("x" * 98, into=limited)  # and two quotation marks
    with pytest.raises(StorageError, match=r"101 bytes encoded; \[exclusive\] max_value_bytes allows at most 100\."):
        put("x" * 99, into=limited)


@pytest.mark.parametrize("inline_bytes", [0, 4096])
def test_a_value_over_the_limit_takes_no_memory_and_no_fetch(
    make_store, put, consumer, driver, monkeypatch, inline_bytes
):
    reference = put("x" * 2000, into=make_store(inline_bytes=inline_bytes))
    monkeypatch.setattr(type(driver), "read_many", lambda *_: pytest.fail("the store was asked"))
    monkeypatch.setattr(store_module, "Opening", lambda *_, **__: pytest.fail("memory was taken"))
    with pytest.raises(
        StorageError, match=r"2,002 bytes encoded; \[exclusive\] max_value_bytes allows at most 1,000 here"
    ):
        make_store(max_value_bytes=1000).get(reference, reader=consumer)


@pytest.mark.parametrize(("characters", "is_inline"), [(82, True), (83, False)])
def test_the_inline_limit_holds_to_the_byte(make_store, put, characters, is_inline):
    store = make_store(inline_bytes=100)
    reference = put("x" * characters, into=store)
    assert (reference.store is None, reference.object_id == b"") == (is_inline, is_inline)
    assert (store.driver.payloads == {}) == is_inline


def test_with_no_inline_bytes_even_an_empty_value_is_stored(put):
    assert put("").store == "memory"


# --- what a reference says


def test_a_reference_says_what_was_put(put, producer, scope):
    reference = put(["a", "b"])
    assert (reference.producer, reference.key, reference.scope) == (producer, "return_value", scope)
    assert (reference.codec, reference.size, reference.store) == ("json", len(b'["a", "b"]'), "memory")


def test_a_value_that_no_codec_takes_names_its_type(put):
    with pytest.raises(CodecError, match=r"builtins\.object"):
        put(object())


def test_a_codec_that_is_not_there_names_those_that_are(put):
    with pytest.raises(CodecError, match=r"'arrow' is not available in this deployment\. Available codecs: json"):
        put(codec="arrow")
    with pytest.raises(CodecError, match="allow_cloudpickle = True"):
        put(codec="cloudpickle")


def test_what_lies_in_the_store_shows_nothing(put, driver):
    put("a distinctive value")
    put("a distinctive value")
    one, other = driver.payloads.values()
    assert b"distinctive" not in one
    assert one != other


def test_a_row_that_holds_its_value_shows_nothing(make_store, put):
    store = make_store(inline_bytes=1000)
    one, other = (put("a distinctive value", into=store, key=key).to_row() for key in "ab")
    assert b"distinctive" not in base64.b64decode(one["sealed"])
    assert "distinctive" not in str(one)
    assert one["sealed"][-24:] != other["sealed"][-24:]


@pytest.mark.parametrize("inline_bytes", [0, 1000])
def test_a_scope_too_long_for_a_reference_is_refused_at_the_push(make_store, put, driver, inline_bytes):
    long = ConsumerScope(tuple(Clause("other", f"{number:0>250}", None) for number in range(256)))
    with pytest.raises(InvalidScopeError, match="The 256 consumers of task 'extract' have 66,046 characters"):
        put(scope=long, into=make_store(inline_bytes=inline_bytes))
    assert driver.payloads == {}


# --- where a payload is


@pytest.mark.parametrize("object_id", [b"", b"o" * 15, b"o" * 17, b"../../../etc/passwd"], ids=repr)
def test_an_object_id_of_another_kind_is_not_written(put, object_id):
    with pytest.raises(ValueError, match="has an id of 16 bytes"):
        replace(put(), object_id=object_id).to_row()


@pytest.mark.parametrize("object_id", [b"/../../../../x\n/", b"G" * 16, bytes(16), "٣٣".encode() * 4], ids=repr)
def test_no_object_id_leads_out_of_the_xcom(put, producer, object_id):
    found = Reference.from_row(forged(put().to_row(), object_id=object_id))
    key = object_key_of(found)
    assert key == object_prefix(Coordinate.of(producer, "return_value")) + object_id.hex()
    check_object_key(key)


@pytest.mark.parametrize(
    "change", [{"dag_id": "x"}, {"run_id": "x"}, {"task_id": "x"}, {"map_index": 0}, {"key": "other"}]
)
def test_a_row_names_a_payload_of_what_it_says_it_is(put, driver, producer, change):
    reference = put()
    moved = Reference.from_row(forged(reference.to_row(), **change))
    own = {"key": "return_value"} | change
    assert moved.object_id == reference.object_id
    assert object_key_of(moved).startswith(object_prefix(replace(Coordinate.of(producer, "return_value"), **own)))
    assert object_key_of(moved) not in driver.payloads


# --- object keys

IDS = st.text(max_size=300)
XCOMS = st.builds(Coordinate, IDS, IDS, IDS, st.integers(-1, 10**9), IDS)


@settings(max_examples=100, deadline=None)
@given(xcom=XCOMS)
def test_object_keys_are_short_safe_and_never_repeat(xcom):
    one, other = object_key(xcom, new_object_id()), object_key(xcom, new_object_id())
    assert one != other
    assert one.startswith(object_prefix(xcom))
    assert len(one) <= 230
    assert re.fullmatch(r"v1/[A-Za-z0-9_-]*/[A-Za-z0-9_-]*/[0-9a-f]{32}/[0-9a-f]{32}", one)


@settings(max_examples=100, deadline=None)
@given(one=XCOMS, data=st.data())
def test_different_xcoms_never_share_a_prefix(one, data):
    change = data.draw(st.sampled_from(["dag_id", "run_id", "task_id", "map_index", "key"]))
    other = replace(one, **{change: data.draw(st.integers(-1, 9) if change == "map_index" else IDS)})
    assert (object_prefix(one) == object_prefix(other)) == (one == other)


def test_ids_that_join_to_the_same_text_have_distinct_prefixes():
    pairs = [("a", "bc"), ("ab", "c"), ("a/b", "c"), ("a.b", "c"), ("a_b", "c"), ("ä", "c"), ("..", "c")]
    assert len({object_prefix(Coordinate(dag, "r", task, -1, "k")) for dag, task in pairs}) == len(pairs)


def test_a_try_writes_under_the_prefix_of_every_other_try(producer):
    one, other = (Coordinate.of(task, "k") for task in (producer, replace(producer, ti_id=None)))
    assert object_prefix(one) == object_prefix(other)


# --- tampering


class Canary:
    """A value that notes when it is unpickled."""

    sung = 0

    def __reduce__(self):
        return _sing, ()


def _sing():
    Canary.sung += 1
    return "sung"


@pytest.fixture(params=[0, 10_000], ids=["stored", "inline"])
def canary_store(request, make_store):
    Canary.sung = 0
    return make_store(inline_bytes=request.param, codecs=CodecRegistry([CloudpickleCodec()]), ttl_seconds=60)


OTHER_BYTES = b'"\\0\x00'


def changed_bytes(data):
    for place, byte in enumerate(data):
        for value in dict.fromkeys([byte ^ (1 << bit) for bit in range(8)] + list(OTHER_BYTES)):
            if value != byte:
                yield place, data[:place] + bytes([value]) + data[place + 1 :]


def is_refused(store, text, genuine, reader):
    """Return whether a row of this JSON is refused; one that says the same in other characters is no change."""
    try:
        row = json.loads(text)
    except ValueError:
        return True
    if json.dumps(row, sort_keys=True) == json.dumps(genuine, sort_keys=True):
        return True
    try:
        store.get(Reference.from_row(row), reader=reader)
    except ExclusiveError:
        return True
    return False


def test_no_byte_of_a_reference_can_be_changed(canary_store, put, consumer):
    row = put(Canary(), codec="cloudpickle", into=canary_store).to_row()
    text = json.dumps(row, separators=(",", ":")).encode()
    name = range(text.index(MARKER.encode()), text.index(MARKER.encode()) + len(MARKER))
    opened = [
        changed
        for place, changed in changed_bytes(text)
        if place not in name and not is_refused(canary_store, changed, row, consumer)
    ]
    assert opened == []
    assert all(is_refused(canary_store, text[:end], row, consumer) for end in range(len(text)))
    assert Canary.sung == 0


def test_no_byte_of_a_payload_can_be_changed_cut_or_added(make_store, put, consumer):
    Canary.sung = 0
    store = make_store(codecs=CodecRegistry([CloudpickleCodec()]))
    reference = put(Canary(), codec="cloudpickle", into=store)
    sealed = store.driver.payloads[object_key_of(reference)]
    forged = [changed for _, changed in changed_bytes(sealed)]
    forged += [sealed[:end] for end in range(len(sealed))] + [sealed[start:] for start in range(1, len(sealed))]
    forged += [sealed + b"\x00", b"\x00" + sealed, sealed + sealed, sealed[::-1], bytes(len(sealed))]
    for payload in forged:
        store.driver.payloads[object_key_of(reference)] = payload
        with pytest.raises(EnvelopeError, match="Clear and re-run task 'extract'"):
            store.get(reference, reader=consumer)
    assert Canary.sung == 0


def test_the_genuine_value_does_run_the_canary(canary_store, put, consumer):
    # The control: without it the two tests above could pass because nothing ever sings.
    assert canary_store.get(put(Canary(), codec="cloudpickle", into=canary_store), reader=consumer) == "sung"
    assert Canary.sung == 1


def test_swapped_payloads_do_not_open(store, put, consumer):
    one, other = put("one"), put("two")
    objects = store.driver.payloads
    objects[object_key_of(one)], objects[object_key_of(other)] = (
        objects[object_key_of(other)],
        objects[object_key_of(one)],
    )
    for reference in (one, other):
        with pytest.raises(EnvelopeError):
            store.get(reference, reader=consumer)


def read_with_parts_of_another(store, put, consumer, taken):
    one, other = put("one", into=store), put("three", key="other", scope=OPEN, into=store)
    with pytest.raises(EnvelopeError):
        store.get(replace(one, **{name: getattr(other, name) for name in taken}), reader=consumer)


@pytest.mark.parametrize(
    "taken", [["object_id"], ["object_id", "size"], ["wrapped"], ["wrapped", "object_id"], ["key"], ["scope"]]
)
def test_parts_of_another_genuine_reference_do_not_fit(store, put, consumer, taken):
    read_with_parts_of_another(store, put, consumer, taken)


@pytest.mark.parametrize("taken", [["wrapped"], ["wrapped", "size"], ["wrapped", "key"], ["size"], ["key"], ["scope"]])
def test_nor_do_those_of_another_value_in_its_row(make_store, put, consumer, taken):
    read_with_parts_of_another(make_store(inline_bytes=1000), put, consumer, taken)


@pytest.mark.parametrize(
    "change",
    [{"dag_id": "x"}, {"run_id": "x"}, {"task_id": "x"}, {"map_index": 0}, {"ti_id": None}, {"ti_id": OTHER_TRY}],
)
def test_a_coordinate_of_the_producer_cannot_be_edited(store, put, producer, change):
    edited = Reference.from_row(forged(put(scope=OPEN).to_row(), **change))
    with pytest.raises(EnvelopeError):
        store.get(edited, reader=producer)


@pytest.mark.parametrize(
    "change",
    [
        {"scope": OPEN},
        {"scope": ConsumerScope((Clause("etl", "*", "run-1"),))},
        {"scope": ConsumerScope((Clause("etl", "load", "run-1"), Clause("etl", "intruder", "run-1")))},
        {"producer": INTRUDER},
    ],
)
def test_an_intruder_cannot_write_itself_into_a_reference(store, put, change):
    with pytest.raises(EnvelopeError):
        store.get(replace(put(), **change), reader=INTRUDER)


@pytest.mark.parametrize(
    "change",
    [
        {"expires_at": None},
        {"codec": "canary"},
        {"size": 1},
        {"is_masked": True},
        {"key": "x"},
        {"object_id": bytes(16)},
        {"store": "other"},
        {"store": None, "object_id": b""},
    ],
)
def test_no_other_fact_can_be_edited(make_store, put, consumer, change):
    store = make_store(ttl_seconds=60)
    with pytest.raises(EnvelopeError):
        store.get(Reference.from_row(forged(put(into=store).to_row(), **change)), reader=consumer)


@pytest.mark.parametrize("change", [{"size": 1}, {"codec": "canary"}, {"expires_at": "2027-01-01T00:00:00Z"}])
def test_nor_can_one_of_a_value_in_its_row(make_store, put, consumer, change):
    row = put(into=make_store(inline_bytes=1000)).to_row()
    with pytest.raises(EnvelopeError):
        make_store().get(Reference.from_row(forged(row, **change)), reader=consumer)


@pytest.mark.parametrize("stated", [0, 8, 10])
def test_a_size_that_its_producer_got_wrong_does_not_open(make_store, producer, scope, consumer, stated):
    store = make_store()
    reference = Reference(producer, "k", scope, "json", stated)
    with pytest.raises(EnvelopeError):
        store.get(store.keys.protect(b'"a value"', reference), reader=consumer)


def test_a_genuine_reference_opens_wherever_it_lies(store, put, consumer):
    # Where a row lies is not the store's to know: the backend and the API server compare row and coordinate.
    reference = put()
    assert store.get(Reference.from_row(json.loads(json.dumps(reference.to_row()))), reader=consumer) == "a value"


def test_a_value_sealed_with_another_deployments_key_stays_shut(make_store, put, consumer, raw_key):
    stranger = make_store(keyring=Keyring.from_raw_keys([raw_key("another deployment")]))
    with pytest.raises(EnvelopeError, match="which this process does not hold"):
        stranger.get(put(), reader=consumer)


def test_the_seal_adds_what_the_limits_count_on(put, driver):
    assert len(driver.payloads[object_key_of(put("x"))]) == len(b'"x"') + TAG_BYTES


def test_a_reader_is_always_named(store):
    for method in (store.get, store.get_many):
        kinds = [parameter.kind for parameter in list(inspect.signature(method).parameters.values())[1:]]
        assert set(kinds) == {inspect.Parameter.KEYWORD_ONLY}
