"""A link on paper: plays a profile, and counts what an engine with given limits gets through it."""

from __future__ import annotations

import heapq
import itertools
import math

import attrs

from domo_files_async.planning.pacing import ConcurrencyController

MIB = 1024 * 1024
MB = 1_000_000
EVERY = 0.025


@attrs.frozen
class Profile:
    """Seconds, bytes a second for each connection and for all, requests at once."""

    latency: float
    each: float
    total: float = math.inf
    most: float = math.inf
    retry_after: float = 0.0


def profile(latency_ms, each, total=math.inf, most=math.inf, **more):
    return Profile(latency_ms / 1000, each * MB, total * MB, most, **more)


def chances(seed):
    """Give numbers from 0 to 1, always the same ones."""
    while True:
        seed = (seed * 6364136223846793005 + 1442695040888963407) % 2**64
        yield (seed >> 33) / 2**31


class Fixed:
    """What a fixed concurrency is to the simulation."""

    def __init__(self, limit):
        self.limit = limit

    def on_refused(self, began, in_flight, now):
        pass

    def on_finished(self, seconds):
        pass


@attrs.define(eq=False)
class Request:
    sender: Sender
    size: float
    began: float = 0.0
    attempt: int = 1
    luck: float = 1.0


@attrs.define(eq=False)
class Sender:
    """A session: its controller, what it has to send, and what came of it."""

    control: object
    sizes: list
    begins: float = 0.0
    ahead: float = 0.0
    queue: list = attrs.field(factory=list)
    active: int = 0
    done: float = 0.0
    work: float = 0.0
    flowing: float = 0.0
    refused: int = 0
    most_attempts: int = 1
    finished: float = math.nan
    silent_until: float = 0.0
    limits: list = attrs.field(factory=list)
    least: int = 0
    largest: int = 0
    waiting: int = attrs.field(init=False)

    def __attrs_post_init__(self):
        self.queue = [Request(self, size) for size in reversed(self.sizes)]
        self.waiting = len(self.sizes)


class Link:
    """Plays *profile*, which may change with time.

    Args:
        link: The profile, or a function of the time that gives it.
        senders: Who uses it.
        jitter: Share by which the rates vary, each tenth of a second.
        chance: Numbers from 0 to 1.
    """

    def __init__(self, link, *senders, jitter=0.0, chance=None):
        self.at = link if callable(link) else lambda _: link
        self.senders = senders
        self.now = 0.0
        self.jitter = jitter
        self.chance = chance or chances(1)
        self.factor = 1.0
        self.served = 0.0
        """What a request has got that was there from the beginning: all get the same."""
        self.flowing = []
        self.events = []
        self.number = itertools.count()

    def later(self, seconds, what, *args):
        heapq.heappush(self.events, (self.now + seconds, next(self.number), what, args))

    def run(self, until=math.inf):
        for sender in self.senders:
            self.later(sender.begins, self.begin, sender)
        if self.jitter:
            self.later(0.1, self.shake)
        while self.now < until and any(sender.waiting for sender in self.senders):
            rate = self.rate()
            when = self.events[0][0] if self.events else math.inf
            if self.flowing:
                when = min(when, self.now + (self.flowing[0][0] - self.served) / rate)
            served = rate * (when - self.now)
            self.now = when
            self.served += served
            for sender in self.senders:
                sender.work += served * sender.flowing
            while self.flowing and self.flowing[0][0] <= self.served + 1e-3:
                self.end(heapq.heappop(self.flowing)[2])
            while self.events and self.events[0][0] <= self.now:
                _, _, what, args = heapq.heappop(self.events)
                what(*args)
        return self

    def rate(self):
        link = self.at(self.now)
        return min(link.each, link.total / max(1, len(self.flowing))) * self.factor

    def end(self, request):
        request.sender.flowing -= request.luck
        self.later(self.at(self.now).latency / 2, self.reply, request)

    def shake(self):
        self.factor = 1 + self.jitter * (2 * next(self.chance) - 1)
        self.later(0.1, self.shake)

    def begin(self, sender):
        self.admit(sender)
        sender.least = sender.largest = sender.active
        if not isinstance(sender.control, Fixed):
            self.later(EVERY, self.look, sender)

    def look(self, sender):
        steady = sender.least == sender.largest and self.now >= sender.silent_until
        sender.control.observe(self.now, sender.work, sender.least if steady else None)
        sender.work = 0.0
        sender.limits.append((self.now, sender.control.limit))
        self.admit(sender)
        sender.least = sender.largest = sender.active
        if sender.waiting:
            self.later(EVERY, self.look, sender)

    def admit(self, sender):
        if self.now < sender.silent_until:
            return
        while sender.queue and sender.active < sender.control.limit:
            request = sender.queue.pop()
            sender.active += 1
            request.began = self.now
            self.later(self.at(self.now).latency / 2, self.arrive, request)
        sender.least = min(sender.least, sender.active)
        sender.largest = max(sender.largest, sender.active)

    def arrive(self, request):
        at_server = len(self.flowing)
        if at_server >= self.at(self.now).most:
            self.later(self.at(self.now).latency / 2, self.refuse, request)
        else:
            request.luck = 1 + self.jitter * (2 * next(self.chance) - 1)
            end = self.served + request.size / request.luck
            heapq.heappush(self.flowing, (end, next(self.number), request))
            request.sender.flowing += request.luck

    def reply(self, request):
        sender = request.sender
        sender.active -= 1
        sender.waiting -= 1
        sender.done += request.size
        sender.control.on_finished(self.now - request.began)
        if not sender.waiting:
            sender.finished = self.now
        self.admit(sender)

    def refuse(self, request):
        sender, link = request.sender, self.at(self.now)
        sender.active -= 1
        sender.refused += 1
        sender.control.on_refused(request.began, sender.active, self.now)
        if link.retry_after:
            sender.silent_until = max(sender.silent_until, self.now + link.retry_after)
            self.later(link.retry_after, self.admit, sender)
        delay = max(link.retry_after, 0.5 * 2 ** (request.attempt - 1)) * (
            1 - 0.5 * next(self.chance)
        )
        request.attempt += 1
        sender.most_attempts = max(sender.most_attempts, request.attempt)
        self.later(delay, self.again, request)
        self.admit(sender)

    def again(self, request):
        request.sender.queue.append(request)
        self.admit(request.sender)


def parts(size, part_size=16 * MIB):
    whole, rest = divmod(size, part_size)
    return [part_size] * whole + [rest] * bool(rest)


def levels(sender):
    """Give the limits that it had, each with the time when it began."""
    changes = [sender.limits[0]]
    for when, limit in sender.limits:
        if limit != changes[-1][1]:
            changes.append((when, limit))
    return changes


def upload(link, control, sizes, **more):
    """Give the sender that has sent all *sizes* through *link*."""
    sender = Sender(control, sizes)
    Link(link, sender, **more).run(until=100_000)
    return sender


def adaptive(latency, ceiling=32):
    control = ConcurrencyController(ceiling)
    control.on_latency(latency)
    return control
