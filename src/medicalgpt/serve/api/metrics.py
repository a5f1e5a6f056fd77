"""What Prometheus is told at /metrics: counts and times, never a word of what was asked."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from medicalgpt.generate.live.engine import BatchingEngine
from medicalgpt.serve.api.exchange import Exchange, Room

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Metrics:
    """The metrics of one server."""

    def __init__(self, live: BatchingEngine, room: Room) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Load(live, room))
        self._requests = Counter(
            "medicalgpt_requests", "Requests by path and status (499: left)", ["path", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "medicalgpt_request_seconds",
            "Time to the end of the answer",
            ["path"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._first = Histogram(
            "medicalgpt_first_token_seconds",
            "Time to the first token of the answer",
            ["path"],
            buckets=_SECONDS,
            registry=self.registry,
        )

    def count(self, exchange: Exchange) -> None:
        """Add a request that has ended."""
        self._requests.labels(exchange.path, exchange.status).inc()
        self._seconds.labels(exchange.path).observe(exchange.seconds)
        if exchange.first_token is not None:
            self._first.labels(exchange.path).observe(exchange.first_token)

    def text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self.registry)


class _Load:
    """What the worker and the door know anyway."""

    def __init__(self, live: BatchingEngine, room: Room) -> None:
        self.live, self.room = live, room

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client's collectors."""
        load = self.live.load
        counters = (
            ("medicalgpt_prompt_tokens", "Tokens read", load.prompt_tokens),
            ("medicalgpt_completion_tokens", "Tokens written", load.tokens),
        )
        gauges = (
            ("medicalgpt_answers_active", "Answers under way", load.active),
            ("medicalgpt_answers_waiting", "Answers that wait for a slot", load.waiting),
            ("medicalgpt_slots", "Answers that can be under way at the same time", self.live.slots),
            ("medicalgpt_requests_open", "Requests whose client has not got everything", self.room.requests),
        )
        for name, text, value in counters:
            yield CounterMetricFamily(name, text, value=value)
        for name, text, value in gauges:
            yield GaugeMetricFamily(name, text, value=value)
