"""The server under load: visitors who open cached graphs and click nodes, some of whom trace, on the default model.

    python benchmarks/load.py                        50 visitors, 10 of them tracing, for 5 minutes
    python benchmarks/load.py --soak 60              12 visitors, 2 of them tracing, for an hour: does memory grow?

Wanted: no error, no lost job, 95 in 100 cached graphs open within 3 s; memory grows by at most 10 MB an hour over the
last two thirds of the time. While people read, memory moves by 50 MB and more with what the C library keeps of what was
freed. So in the long run all leave now and then, and what counts is the memory when nobody is there: when Streamlit has
dropped their tabs, and the idle server has given back what it need not keep (service/service.py).

Visitors are tabs that speak Streamlit's protocol (benchmarks/visitor.py), each a person of their own whom a proxy
names, with seeds of their own; they run on the same machine as the server. Each opens a graph, clicks some nodes, moves
a threshold, opens another one, and now and then closes the tab and comes back by a link.
"""

import argparse
import asyncio
import json
import math
import random
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the checkout, from wherever this is started

import numpy as np
import psutil
from scipy.stats import linregress

import tracer
from benchmarks.measure import print_machine, table, title
from benchmarks.visitor import Visitor, visit
from tests.serving import Server, serving

CANVAS, HEAD = "hypograph_graph_canvas", "hypograph_card_head"
PROXY = {"HYPOGRAPH_USER_HEADER": "X-Lab-User", "HYPOGRAPH_PROXY_SECRET": "of-the-load-benchmark"}
SETTINGS = PROXY | {"HYPOGRAPH_ROLE": "editor"}  # of the server
PEOPLE = ("Ada", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gia", "Hal", "Ida", "Jon")
PLACES = ("France", "Spain", "Italy", "Japan", "Peru", "Kenya", "Norway", "Egypt", "Chile", "Greece", "India", "Cuba")
CACHED = [f"The capital of {place} is the city of" for place in PLACES]
OPEN = 3.0  # seconds, see above
GROWTH = 10.0  # MB an hour
LOST = 240.0  # seconds after which a job that has not answered counts as lost


Memory = list[tuple[float, float, float]]  # seconds, MB resident, MB of the process's own


@dataclass
class Plan:
    sessions: int
    tracing: int
    seconds: float
    think: float  # seconds between two clicks, in the mean
    cached: int = len(CACHED)
    shift: float = math.inf  # seconds after which all leave,
    rest: float = 0.0  # and until they come back; Streamlit keeps a closed tab for two minutes

    def open_for(self, now: float) -> float:
        """Seconds until they leave; none while they are away. `now`: since the begin."""
        return self.shift if math.isinf(self.shift) else self.shift - now % (self.shift + self.rest)


@dataclass
class Seen:
    """What all visitors met."""

    opened: list[float] = field(default_factory=list)  # seconds until a cached graph was on the page
    clicked: list[float] = field(default_factory=list)  # until the card was the clicked node's
    traced: list[float] = field(default_factory=list)  # from Trace to its graph, with the queue
    asked: int = 0
    tabs: int = 0
    troubles: list[str] = field(default_factory=list)
    memory: Memory = field(default_factory=list)
    cpu: float = 0.0  # seconds of the server's


def known_as(name: str) -> dict[str, str]:
    return {PROXY["HYPOGRAPH_USER_HEADER"]: name, "X-Hypograph-Proxy": PROXY["HYPOGRAPH_PROXY_SECRET"]}


def shows(visitor: Visitor, key: str) -> bool:
    return visitor.page == "graph" and f'"{key}/' in visitor.component(CANVAS) and not visitor.running


async def trace(visitor: Visitor, prompt: str) -> str:
    """From the Trace page to the graph, which opens by itself; its key. Raises AssertionError."""
    before = visitor.runs
    await visitor.type("Prompt", prompt)
    await visitor.until(lambda: visitor.runs > before and not visitor.running and visitor.has_button("Trace"))
    await visitor.click("Trace")
    await visitor.until(lambda: visitor.page == "graph" and bool(visitor.component(CANVAS)), LOST)
    return next(part for part in visitor.query.split("&") if part.startswith("graph=")).removeprefix("graph=")


class Person:
    def __init__(self, number: int, address: str, plan: Plan, graphs: list[str], seen: Seen) -> None:
        self.traces = number < plan.tracing
        self.name = f"{PEOPLE[number % len(PEOPLE)]} {number}"
        self.random = random.Random(number)
        self.address, self.plan, self.graphs, self.seen = address, plan, graphs, seen
        self.n_traced = 0

    async def work(self, begin: float) -> None:
        until = begin + self.plan.seconds
        await asyncio.sleep(self.random.uniform(0, min(20.0, self.plan.seconds / 4)))  # they don't all come at once
        while (now := time.monotonic()) < until:
            left = self.plan.open_for(now - begin)
            if left <= 0:
                await asyncio.sleep(1)
                continue
            try:
                await self._visit(min(until, now + left))
            except (AssertionError, OSError) as problem:
                self.seen.troubles.append(f"{self.name}: {problem}")

    async def _visit(self, until: float) -> None:
        """One tab, from a link to where they have seen enough."""
        key, began = self.random.choice(self.graphs), time.monotonic()
        async with visit(f"{self.address}/graph?graph={key}", known_as(self.name)) as tab:
            self.seen.tabs += 1
            await self._opens(tab, key, began)
            for _ in range(self.random.randint(2, 6)):
                await self._reads(tab, key, until)
                if time.monotonic() > until:
                    break
                if self.traces:
                    await self._traces(tab)
                key = self.random.choice([other for other in self.graphs if other != key])
                began = time.monotonic()
                await tab.go("graph", graph=key)
                await self._opens(tab, key, began)
            self.seen.troubles += [f"{self.name}: {trouble}" for trouble in tab.troubles]

    async def _opens(self, tab: Visitor, key: str, began: float) -> None:
        await tab.until(lambda: shows(tab, key))
        self.seen.opened.append(time.monotonic() - began)

    async def _reads(self, tab: Visitor, key: str, until: float) -> None:
        ids = json.loads(json.loads(tab.component(CANVAS))["graph"])["nodes"]["id"]
        for id in self.random.sample(ids, self.random.randint(2, 5)):
            await self._thinks()
            began = time.monotonic()
            await tab.report(CANVAS, selected=id)
            await tab.until(lambda id=id: f'"id": {json.dumps(id)}' in tab.component(HEAD))  # type: ignore[misc]
            self.seen.clicked.append(time.monotonic() - began)
            if time.monotonic() > until:
                return
        await self._thinks()
        if self.random.random() < 0.3:
            await tab.slide("Nodes: share of influence kept", self.random.choice([0.6, 0.7, 0.9]))

    async def _traces(self, tab: Visitor) -> None:
        await tab.go("")
        await self._thinks()
        self.n_traced += 1
        self.seen.asked += 1
        began = time.monotonic()
        await trace(tab, f"{self.name.replace(' ', ' number ')} counts to {self.n_traced} and then to")
        self.seen.traced.append(time.monotonic() - began)
        await self._thinks()

    async def _thinks(self) -> None:
        await asyncio.sleep(self.random.uniform(0.5, 1.5) * self.plan.think)


async def load(server: Server, plan: Plan) -> Seen:
    """What visitors meet who come to this server, started with SETTINGS."""
    seen, graphs, address, process = Seen(), [], server.address, psutil.Process(server.process.pid)
    async with visit(address, known_as("Ada")) as first:
        await first.says(" · cpu", 120)
        for prompt in CACHED[: plan.cached]:
            await first.go("")
            graphs.append(await trace(first, prompt))
    begin = time.monotonic()
    used = sum(process.cpu_times()[:2])
    people = [Person(n, address, plan, graphs, seen) for n in range(plan.sessions)]
    watching = asyncio.create_task(_watch(process, seen, begin))
    await asyncio.gather(*(one.work(begin) for one in people))
    watching.cancel()
    seen.cpu = sum(process.cpu_times()[:2]) - used
    return seen


async def _watch(process: psutil.Process, seen: Seen, begin: float) -> None:
    while True:
        memory = process.memory_info()
        now = time.monotonic() - begin
        seen.memory.append((now, memory.rss / 1e6, (memory.rss - memory.shared) / 1e6))
        if len(seen.memory) % 150 == 0:  # of a long run something is left if it is stopped
            _, rss, own = seen.memory[-1]
            print(f"  {now / 60:5.1f} min: {rss:.0f} MB resident, {own:.0f} of its own", flush=True)
        await asyncio.sleep(2)


def at_rest(memory: Memory, plan: Plan) -> Memory:
    """Means of the last twenty seconds before people come back."""
    cycle, found = plan.shift + plan.rest, []
    for end in np.arange(cycle, memory[-1][0] + 1, cycle):
        late = [one for one in memory if end - 20 <= one[0] < end]
        found.append(tuple(np.mean(late, axis=0)))
    return found


def slope(memory: Memory) -> tuple[float, float]:
    """MB an hour by which the server's own memory grew over the last two thirds of the time, by least squares, and its
    standard error."""
    seconds, _, own = np.array(memory).T
    late = seconds >= seconds[-1] / 3
    line = linregress(seconds[late] / 3600, own[late])
    return float(line.slope), float(line.stderr)


def report(seen: Seen, plan: Plan) -> bool:
    """Is all that is wanted met?"""
    title(
        f"{plan.sessions} visitors, {plan.tracing} of them tracing, {plan.seconds / 60:.3g} minutes, {seen.tabs} tabs"
    )
    table("", "n", "median s", "p95 s", "worst s")
    for name, times in (("open", seen.opened), ("click", seen.clicked), ("trace", seen.traced)):
        if times:
            table(name, len(times), *(f"{np.quantile(times, share):.2f}" for share in (0.5, 0.95, 1)))
    print(f"errors: {len(seen.troubles)}; jobs asked for: {seen.asked}, not answered: {seen.asked - len(seen.traced)}")
    rss = [resident for _, resident, _ in seen.memory]
    print(f"memory: {rss[0]:.0f} MB at the start, {rss[-1]:.0f} at the end, {max(rss):.0f} at most")
    growth = None  # asked of the long run alone
    if not math.isinf(plan.shift):
        rests = at_rest(seen.memory, plan)
        growth, error = slope(rests)
        print("the server's own when nobody was there, MB:", *(f"{own:.0f}" for _, _, own in rests))
        print(f"that grew by {growth:+.1f} MB an hour (standard error {error:.1f}) over the last two thirds")
    print(f"the server took {seen.cpu / seen.memory[-1][0]:.2f} of a core")
    for trouble in seen.troubles[:10]:
        print("  ", trouble[:1000])
    wanted = {
        "no error": not seen.troubles,
        "no lost job": seen.asked == len(seen.traced),
        f"95 in 100 cached graphs within {OPEN:g} s": np.quantile(seen.opened, 0.95) <= OPEN,
    }
    if growth is not None:
        wanted[f"at most {GROWTH:g} MB an hour"] = growth <= GROWTH
    for what, met in wanted.items():
        print(f"{what}: {'met' if met else 'NOT MET'}")
    return all(wanted.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--tracing", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--think", type=float, default=10.0, help="seconds between two clicks, in the mean")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="few visitors, for long")
    given = parser.parse_args()
    plan = Plan(given.sessions, given.tracing, 60 * given.minutes, given.think)
    if given.soak:
        plan = Plan(12, 2, 60 * given.soak, 8.0, shift=95.0, rest=175.0)
    print_machine("Load")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "models").symlink_to((tracer.home() / "models").resolve())
        with serving(home, **SETTINGS) as server:
            seen = asyncio.run(load(server, plan))
    sys.exit(not report(seen, plan))


if __name__ == "__main__":
    main()
