"""What goes over the wire to and from Redis, byte by byte, over a connection that follows a script."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from redis import exceptions
from redis.connection import Connection

from airflow_provider_exclusive.storage.base import Wanted
from airflow_provider_exclusive.storage.redis import transfer
from airflow_provider_exclusive.storage.testing import Collected

MIB = 1 << 20


class Scripted:
    """A connection, its socket and its pool in one: records what is sent, and answers ``replies`` piece by piece."""

    host, port = "server", 6379
    pack_commands = staticmethod(Connection().pack_commands)

    def __init__(self, *replies):
        self.replies = list(replies)
        self.packets, self.events = [], []
        self.is_in_use = self.is_given_up = False
        self.failure = None
        self.connection_pool, self._sock = self, self

    # The pool of a client.
    def get_connection(self):
        self.is_in_use = True
        return self

    def release(self, connection):
        assert connection is self
        self.is_in_use = False

    # A connection of redis-py.
    def send_packed_command(self, packets):
        self.events.append("send")
        # Taken one at a time, as a socket does: the memory of a piece may be used again for the next.
        for packet in packets:
            self.packets.append(packet if isinstance(packet, bytes) else bytes(packet))

    def read_response(self):
        if self.failure:
            raise self.failure
        return b"OK"

    def disconnect(self):
        self.is_given_up = True

    # The socket of a connection.
    def recv_into(self, buffer):
        self.events.append("receive")
        reply = self.replies.pop(0)
        piece, rest = reply[: len(buffer)], reply[len(buffer) :]
        if rest:
            self.replies.insert(0, rest)
        buffer[: len(piece)] = piece
        return len(piece)

    @property
    def sent(self):
        return b"".join(self.packets)


class Pieces:
    def __init__(self, *pieces):
        self.pieces = pieces

    def __len__(self):
        return sum(map(len, self.pieces))

    def __iter__(self):
        return iter(self.pieces)


def read(redis, *keys, sizes=None, sinks=None):
    sinks = sinks or [Collected() for _ in keys]
    sizes = sizes or [None] * len(keys)
    transfer.read_many(redis, [Wanted(*one) for one in zip(keys, sinks, sizes, strict=True)])
    return [sink.received for sink in sinks]


def command(*words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def bulk(content):
    return b"$%d\r\n%s\r\n" % (len(content), content)


class TestRefusals:
    @pytest.mark.parametrize(
        ("line", "kind", "said"),
        [
            (b"-NOPERM this user has no permissions", exceptions.NoPermissionError, "this user has no permissions"),
            (b"-WRONGTYPE Operation against a key", exceptions.ResponseError, "WRONGTYPE Operation against a key"),
            (b"-LOADING Redis is loading", exceptions.BusyLoadingError, "Redis is loading"),
            (b"-ERR " + b"long " * 50, exceptions.ResponseError, "long " * 50),
            (b"-ERR \xff", exceptions.ResponseError, "\ufffd"),
        ],
    )
    def test_an_error_reply_is_the_error_of_the_client(self, line, kind, said):
        with pytest.raises(exceptions.RedisError) as caught:
            read(Scripted(line + b"\r\n"), "key")
        assert type(caught.value) is kind
        assert str(caught.value) == said

    @pytest.mark.parametrize(
        "line",
        [
            b"HTTP/1.1 400 Bad Request",
            b":7",
            b"+OK",
            b"*1",
            b"$x",
            b"$",
            b"$-",
            b"$--5",
            b"$-2",
            b"$" + b"9" * 5000,
            b"",
            b"_",
        ],
    )
    def test_what_is_no_bulk_reply_is_not_taken_for_one(self, line):
        with pytest.raises(exceptions.InvalidResponse, match="Protocol error") as caught:
            read(Scripted(line + b"\r\n"), "key")
        assert repr(line[:20]) in str(caught.value)

    def test_a_value_longer_than_its_length_is_noticed(self):
        with pytest.raises(exceptions.InvalidResponse, match="longer than its length"):
            read(Scripted(b"$5\r\nvalueXX"), "key")

    @pytest.mark.parametrize(("size", "reply"), [(3, bulk(b"value")), (2 * MIB, b"$%d\r\n" % (MIB + 1))])
    def test_more_than_was_asked_for_is_not_taken(self, size, reply):
        sink = Collected()
        with pytest.raises(exceptions.InvalidResponse, match="bytes came where"):
            read(Scripted(reply), "key", sinks=[sink], sizes=[size])
        assert sink.received is None

    def test_a_line_without_an_end_is_given_up(self):
        with pytest.raises(exceptions.InvalidResponse, match="does not end"):
            read(Scripted(b"$" * 200_000), "key")

    @pytest.mark.parametrize("replies", [[b""], [b"$5", b""], [b"$5\r\nva", b""], [b"$5\r\nvalue", b""]])
    def test_a_server_that_hangs_up_is_named(self, replies):
        with pytest.raises(exceptions.ConnectionError, match="Connection closed by server:6379"):
            read(Scripted(*replies), "key")

    def test_a_broken_off_value_was_passed_on_in_part(self):
        sink = Collected()
        with pytest.raises(exceptions.ConnectionError):
            read(Scripted(b"$5\r\nva", b""), "key", sinks=[sink])
        assert sink.received == b"va"

    def test_a_refused_write_is_an_error(self):
        redis = Scripted()
        redis.failure = exceptions.OutOfMemoryError("maxmemory")
        with pytest.raises(exceptions.OutOfMemoryError):
            transfer.write(redis, "key", b"value", expiry_ms=None)
        assert (redis.is_given_up, redis.is_in_use) == (True, False)


class TestConnections:
    def test_one_that_answered_all_is_used_again(self):
        redis = Scripted(bulk(b"value"))
        read(redis, "key")
        assert (redis.is_given_up, redis.is_in_use) == (False, False)

    @pytest.mark.parametrize("reply", [b"-ERR no\r\n", b"+OK\r\n", b""])
    def test_one_out_of_step_is_given_up(self, reply):
        redis = Scripted(reply)
        with pytest.raises(exceptions.RedisError):
            read(redis, "key", "another")
        assert (redis.is_given_up, redis.is_in_use) == (True, False)

    @pytest.mark.parametrize("failure", [MemoryError, KeyboardInterrupt])
    def test_one_whose_reader_failed_is_given_up(self, failure):
        def refuse(chunk):
            raise failure

        redis = Scripted(bulk(b"value"))
        with pytest.raises(failure):
            read(redis, "key", sinks=[SimpleNamespace(restart=lambda: None, write=refuse)])
        assert (redis.is_given_up, redis.is_in_use) == (True, False)


class TestWrites:
    def test_a_value_without_expiry_is_a_plain_set(self):
        redis = Scripted()
        transfer.write(redis, "prefix:key", b"value", expiry_ms=None)
        assert redis.sent == command(b"SET", b"prefix:key", b"value")

    def test_an_expiry_is_part_of_the_set(self):
        redis = Scripted()
        transfer.write(redis, "key", b"value", expiry_ms=60_000)
        assert redis.sent == command(b"SET", b"key", b"value", b"PX", b"60000")

    @pytest.mark.parametrize("payload", [b"", bytearray(b"a\r\nb"), Pieces(), Pieces(b""), Pieces(b"a", b"", b"b")])
    def test_any_payload_is_one_argument(self, payload):
        redis = Scripted()
        transfer.write(redis, "key", payload, expiry_ms=1)
        whole = b"".join(payload) if isinstance(payload, Pieces) else bytes(payload)
        assert redis.sent == command(b"SET", b"key", whole, b"PX", b"1")

    def test_a_name_counts_in_bytes(self):
        redis = Scripted()
        transfer.write(redis, "schlüssel", b"value", expiry_ms=None)
        assert redis.sent == command(b"SET", "schlüssel".encode(), b"value")

    def test_short_pieces_go_out_together(self):
        redis = Scripted()
        transfer.write(redis, "key", Pieces(*[b"piece"] * 1000), expiry_ms=1)
        assert len(redis.packets) == 1

    def test_a_large_piece_is_not_copied(self):
        piece = bytes(MIB)
        redis = Scripted()
        transfer.write(redis, "key", Pieces(b"small", piece, b"small"), expiry_ms=None)
        assert [len(packet) for packet in redis.packets].count(MIB) == 1
        assert any(packet is piece for packet in redis.packets)
        assert redis.sent == command(b"SET", b"key", b"small" + piece + b"small")

    def test_memory_that_is_used_again_is_sent_before(self):
        def pieces():
            memory = bytearray(100_000)
            for letter in b"abc":
                memory[:] = bytes([letter]) * 100_000
                yield memoryview(memory)

        class Reused(Pieces):
            def __len__(self):
                return 300_000

            def __iter__(self):
                return pieces()

        redis = Scripted()
        transfer.write(redis, "key", Reused(), expiry_ms=None)
        assert redis.sent == command(b"SET", b"key", b"".join(letter * 100_000 for letter in (b"a", b"b", b"c")))


class TestReads:
    def test_a_missing_key_brings_nothing(self):
        assert read(Scripted(b"$-1\r\n" + bulk(b"value")), "none", "key") == [None, b"value"]

    def test_an_empty_value_is_not_a_missing_one(self):
        assert read(Scripted(bulk(b"")), "key") == [b""]

    def test_a_large_key_that_is_gone_brings_nothing(self):
        assert read(Scripted(bulk(b"") * 3), "key", sizes=[3 * MIB - 1]) == [None]

    def test_each_sink_begins_anew(self):
        sink = Collected()
        sink.write(b"from an attempt that broke off")
        assert read(Scripted(bulk(b"value")), "key", sinks=[sink]) == [b"value"]

    def test_sinks_begin_anew_before_a_server_is_sought(self):
        sink = Collected()
        with pytest.raises(AttributeError):
            read(SimpleNamespace(), "key", sinks=[sink])
        assert sink.restarts == 1

    def test_nothing_wanted_sends_nothing(self):
        redis = Scripted()
        assert read(redis) == []
        assert (redis.packets, redis.events) == ([], [])

    def test_a_value_may_hold_what_looks_like_a_reply(self):
        tricky = b"$-1\r\n-ERR\r\n\x00\r\n"
        assert read(Scripted(bulk(tricky) + bulk(b"next")), "key", "another") == [tricky, b"next"]

    @pytest.mark.parametrize("length", range(1, 12))
    def test_replies_may_be_cut_anywhere(self, length):
        whole = bulk(b"value\r\n") + b"$-1\r\n" + bulk(b"") + bulk(b"last")
        pieces = [whole[begin : begin + length] for begin in range(0, len(whole), length)]
        assert read(Scripted(*pieces), "a", "none", "b", "c") == [b"value\r\n", None, b"", b"last"]

    def test_a_value_larger_than_the_buffer_is_whole(self):
        value = bytes(range(256)) * 4096
        assert read(Scripted(bulk(value)), "key") == [value]


class TestCommands:
    def test_what_may_have_any_size_is_asked_for_whole(self):
        redis = Scripted(bulk(b"value"))
        read(redis, "key", sizes=[None])
        assert redis.sent == command(b"GET", b"key")

    @pytest.mark.parametrize("size", [0, 7, MIB - 1])
    def test_one_byte_more_than_expected_is_asked_for(self, size):
        redis = Scripted(bulk(b""))
        read(redis, "key", sizes=[size])
        assert redis.sent == command(b"GETRANGE", b"key", b"0", b"%d" % size)

    def test_more_than_a_block_is_asked_for_in_blocks(self):
        redis = Scripted(bulk(b"a"), bulk(b"b"), bulk(b"c"))
        assert read(redis, "key", sizes=[2 * MIB + 1]) == [b"abc"]
        assert redis.sent == b"".join(
            [
                command(b"GETRANGE", b"key", b"0", b"1048575"),
                command(b"GETRANGE", b"key", b"1048576", b"2097151"),
                command(b"GETRANGE", b"key", b"2097152", b"2097153"),
            ]
        )

    def test_full_blocks_are_followed_by_one_byte(self):
        redis = Scripted(bulk(b"a"), bulk(b"b"), bulk(b""))
        assert read(redis, "key", sizes=[2 * MIB]) == [b"ab"]
        assert redis.sent.endswith(command(b"GETRANGE", b"key", b"2097152", b"2097152"))

    def test_two_blocks_are_on_their_way_and_no_more(self):
        redis = Scripted(*[bulk(b"block")] * 4)
        read(redis, "key", sizes=[4 * MIB - 1])
        assert redis.events == ["send", "send", "receive", "send", "receive", "send", "receive", "receive"]

    def test_small_keys_are_asked_for_together(self):
        redis = Scripted(bulk(b"x") * 200)
        read(redis, *map(str, range(200)))
        assert redis.events == ["send", "receive"]

    def test_a_batch_has_a_limited_number_of_commands(self):
        redis = Scripted(bulk(b"x") * 200, bulk(b"y"))
        found = read(redis, *map(str, range(201)))
        assert redis.events[:2] == ["send", "send"]
        assert found == [b"x"] * 200 + [b"y"]

    @pytest.mark.parametrize(("size", "batches"), [(MIB // 2 - 1, 1), (MIB // 2, 2)])
    def test_a_batch_is_no_larger_than_a_block(self, size, batches):
        redis = Scripted(bulk(b"a") + bulk(b"b"))
        read(redis, "a", "b", sizes=[size, size])
        assert redis.events.count("send") == batches
