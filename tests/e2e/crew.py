"""The workers of a scenario: started, struck, and looked at."""

import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from divrec.config import Config
from streams.leaving import EXIT_CRASHED
from streams.topics import Topics
from tests.e2e.faulty_worker import Faults
from tests.e2e.forked import ForkedWorker
from tests.servers import ValkeyServer
from tests.streams.running import Worker

SESSION_S = 2.0
"""Session timeout: shorter than a configuration may have it, so that a death is noticed soon."""
DIGEST = re.compile(r"digest (\w{32}) at model-log offset (\d+)")


class Crew:
    """Workers by name; one that is started again under its name finds its state directory."""

    def __init__(self, config: Config, valkey: ValkeyServer, directory: Path) -> None:
        self.config, self.valkey, self._directory = config, valkey, directory
        self.running: dict[str, Worker] = {}
        self.all: list[Worker] = []
        self._client = valkey.client()
        self._marks = [
            f"{config.kafka.prefix}{config.generation}:watermark:{p}" for p in range(config.kafka.partitions)
        ]

    def configuration(self, name: str) -> Config:
        """That of the worker ``name``."""
        place = {"state_dir": self._directory / name}
        return self.config.model_copy(update={"worker": self.config.worker.model_copy(update=place)})

    def start(self, name: str, faults: Faults | None = None, ready: bool = False) -> Worker:
        """Start ``<module>-<anything>``."""
        self._directory.mkdir(exist_ok=True)
        log = self._directory / f"{len(self.all)}-{name}.log"
        started = ForkedWorker(
            self.configuration(name), f"streams.{name.partition('-')[0]}", faults or Faults(session_s=SESSION_S), log
        )
        self.running[name] = started
        self.all.append(started)
        if ready:
            started.wait_until(lambda: started.ready)
        return started

    def names(self, module: str) -> list[str]:
        """Of all workers that ever ran."""
        return [place.name for place in sorted(self._directory.glob(f"{module}-*")) if place.is_dir()]

    def kill(self, name: str) -> None:
        self.running.pop(name).kill()

    def freeze(self, name: str, until_taken_over_by: str) -> Worker:
        """SIGSTOP, until another worker has all partitions: the caller continues what this returns."""
        frozen, other = self.running[name], self.running[until_taken_over_by]
        everything = f"assigned: {Topics(self.config).events} {list(range(self.config.kafka.partitions))}"
        before = sum(everything in line for line in other.lines)
        frozen.process.send_signal(signal.SIGSTOP)
        self.wait(lambda: sum(everything in line for line in other.lines) > before)
        return frozen

    def wait_dead(self, name: str) -> None:
        """Until it has struck itself down."""
        dying = self.running.pop(name)
        try:
            assert dying.exit_code(60) == -signal.SIGKILL, "".join(dying.lines)
        finally:
            dying.kill()

    def wait_frozen(self, name: str) -> None:
        """Until it has stopped itself."""
        state = Path(f"/proc/{self.running[name].process.pid}/stat")
        self.wait(lambda: state.read_text().rpartition(")")[2].split()[0] == "T")

    def end(self, name: str) -> Worker:
        """In order: it must leave in time and without complaint."""
        ended = self.running.pop(name)
        begin = time.monotonic()
        code = ended.end()
        assert (code, time.monotonic() - begin < 10) == (0, True), "".join(ended.lines)
        return ended

    def watermarks(self) -> list[int]:
        """Last offset applied by partition, -1 for none."""
        return [-1 if mark is None else int(mark) for mark in self._client.mget(self._marks)]  # type: ignore[union-attr]

    def applied(self) -> int:
        """Events up to the watermarks; 0 while Valkey is away."""
        try:
            return sum(self.watermarks()) + len(self._marks)
        except redis.RedisError:
            return 0

    def wait(self, condition: Callable[[], bool], timeout: float = 60.0) -> None:
        """Nobody may die meanwhile who was not struck, but for want of Kafka while it starts: that is begun again."""
        deadline = time.monotonic() + timeout
        while not condition():
            for name, worker in list(self.running.items()):
                code = worker.process.poll()
                if code == EXIT_CRASHED and not worker.said("is ready") and worker.said("Unable connect"):
                    self.start(name)
                else:
                    assert code is None, f"{name}\n{''.join(worker.lines)}"
            assert time.monotonic() < deadline, self._what_they_said()
            time.sleep(0.005)

    def wait_applied(self, count: int, timeout: float = 60.0) -> None:
        self.wait(lambda: self.applied() >= count, timeout)

    def _what_they_said(self) -> str:
        return "\n".join(f"{name}\n{''.join(worker.lines[-40:])}" for name, worker in self.running.items())

    def digests(self) -> list[dict[int, str]]:
        """What each worker that ever ran logged: digest by model-log offset."""
        found = ({int(m[2]): m[1] for m in map(DIGEST.search, worker.lines) if m} for worker in self.all)
        return [one for one in found if one]


@contextmanager
def crew(config: Config, valkey: ValkeyServer, directory: Path) -> Iterator[Crew]:
    found = Crew(config, valkey, directory)
    try:
        yield found
    finally:
        for worker in found.running.values():
            worker.kill()
