"""Profiles, latest slates and watermarks in Redis (or Valkey).

One hash per user, ``<namespace>:profile:<user>``, with the fields ``offset``, ``profile`` and ``slate``; one string
per partition, ``<namespace>:watermark:<partition>``. A batch is saved by one script: its profiles each by
compare-and-set, and the watermarks only if all of them succeeded. Redis must run with its append-only file and
``noeviction``.
"""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, TypeVar

import redis.asyncio as redis
from redis.exceptions import AuthenticationError, NoPermissionError, NoScriptError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from divrec.connections import RedisConfig, tls_fault
from divrec.errors import ConfigError, StoreRefused, StoreUnavailable
from divrec.state.store import NOTHING, Advance, Loaded, Saved, Write

T = TypeVar("T")

# KEYS: watermarks, then profiles. ARGV: number of watermarks, time to live in s; expected, new for each watermark;
# expected, new, profile, slate ('' = keep) for each profile. Returns the positions of the conflicts and 1 if advanced.
_SAVE = """
local marks, ttl = tonumber(ARGV[1]), ARGV[2]
local at, conflicts = 2 + 2 * marks, {}
for i = marks + 1, #KEYS do
  local stands = redis.call('HGET', KEYS[i], 'offset') or '-1'
  if stands == ARGV[at + 1] then
    if ARGV[at + 4] == '' then
      redis.call('HSET', KEYS[i], 'offset', ARGV[at + 2], 'profile', ARGV[at + 3])
    else
      redis.call('HSET', KEYS[i], 'offset', ARGV[at + 2], 'profile', ARGV[at + 3], 'slate', ARGV[at + 4])
    end
    redis.call('EXPIRE', KEYS[i], ttl)
  else
    conflicts[#conflicts + 1] = i - marks
  end
  at = at + 4
end
if #conflicts > 0 then return {0, conflicts} end
for i = 1, marks do
  if (redis.call('GET', KEYS[i]) or '-1') ~= ARGV[2 * i + 1] then return {0, {}} end
end
for i = 1, marks do redis.call('SET', KEYS[i], ARGV[2 * i + 2]) end
return {1, {}}
"""


class RedisStore:
    """``namespace`` begins all keys: prefix and generation."""

    def __init__(self, config: RedisConfig, namespace: str) -> None:
        self._client = _client(config)
        self._profile = f"{namespace}:profile:"
        self._watermark = f"{namespace}:watermark:"
        self._ttl = max(1, round(86_400 * config.profile_ttl_days))  # 0 would delete what is written
        self._sha = ""

    async def load(self, user_ids: Sequence[str], partitions: Sequence[int]) -> Loaded:
        pipeline = self._client.pipeline(transaction=False)
        if partitions:
            pipeline.mget([self._watermark + str(partition) for partition in partitions])
        for user_id in user_ids:
            pipeline.hget(self._profile + user_id, "profile")
        answers: list[Any] = await _reached(pipeline.execute())
        marks = answers.pop(0) if partitions else []
        return Loaded(
            {user: data for user, data in zip(user_ids, answers, strict=True) if data is not None},
            {p: NOTHING if mark is None else int(mark) for p, mark in zip(partitions, marks, strict=True)},
        )

    async def save(self, writes: Sequence[Write], advances: Mapping[int, Advance]) -> Saved:
        keys = [self._watermark + str(partition) for partition in advances]
        keys += [self._profile + write.user_id for write in writes]
        arguments: list[Any] = [len(advances), self._ttl]
        for advance in advances.values():
            arguments += advance
        for write in writes:
            arguments += (write.expected, write.offset, write.profile, write.slate or b"")
        advanced, conflicts = await self._script(keys, arguments)
        return Saved(frozenset(writes[at - 1].user_id for at in conflicts), bool(advanced))

    async def _script(self, keys: list[str], arguments: list[Any]) -> Any:
        if not self._sha:
            self._sha = await _reached(self._client.script_load(_SAVE))
        try:
            return await _reached(self._client.evalsha(self._sha, len(keys), *keys, *arguments))
        except NoScriptError:  # a Redis that was started anew
            self._sha = ""
            return await self._script(keys, arguments)

    async def latest_slate(self, user_id: str) -> bytes | None:
        slate: Any = await _reached(self._client.hget(self._profile + user_id, "slate"))
        return None if slate is None else bytes(slate)

    async def close(self) -> None:
        await self._client.aclose()


async def server_facts(config: RedisConfig) -> dict[str, Any]:
    """What the server tells about itself (its command INFO). Raises StoreUnavailable."""
    client = _client(config)
    try:
        return dict(await _reached(client.info()))
    finally:
        await client.aclose()


def _client(config: RedisConfig) -> redis.Redis:
    address, password = config.address().get_secret_value(), config.secret()
    arguments: dict[str, Any] = {}
    if password is not None:
        arguments["password"] = password.get_secret_value()
    if address.startswith("rediss:"):
        files = {"ssl_ca_certs": config.ca_file, "ssl_certfile": config.cert_file, "ssl_keyfile": config.key_file}
        arguments |= {name: str(file) for name, file in files.items() if file is not None}
    try:
        return redis.Redis.from_url(
            address,
            socket_timeout=config.timeout_s,
            socket_connect_timeout=config.timeout_s,
            max_connections=16,
            **arguments,
        )
    except ValueError:  # what it says may quote the address
        raise ConfigError("redis.url: expected redis://host:port/0 or rediss://host:port/0, got another form") from None


async def _reached(answer: Awaitable[T]) -> T:
    try:
        return await answer
    except NoScriptError:
        raise
    except (AuthenticationError, NoPermissionError) as error:
        raise StoreRefused(
            f"Redis refuses divrec ({_said(error)}): correct redis.password (DIVREC_REDIS__PASSWORD) or its file, "
            "or user and password in redis.url"
        ) from None
    except (RedisConnectionError, RedisTimeoutError, OSError) as error:
        if fault := tls_fault(error):
            raise StoreRefused(f"Redis cannot be reached with these settings: {fault}") from None
        raise StoreUnavailable(
            f"Redis: expected an answer, got {type(error).__name__}: start it, or correct redis.url (DIVREC_REDIS__URL)"
        ) from error
    except RedisError as error:
        # A Redis that is loading its file, is full or read-only: it will answer again when that is over.
        raise StoreUnavailable(f"Redis: expected it to accept a command, got: {_said(error)}") from error


def _said(error: RedisError) -> str:
    """What the server answered, without the command, whose key names a user: this goes to the log."""
    return str(error).rpartition("of pipeline caused error: ")[2].partition(", with args")[0]
