"""Results of a bench: values by row, ratios of rows, targets, notes; as a table and as JSON."""
import statistics


class Target:
    """`least` or `most` with a number; what has no target is only shown."""

    def __init__(self, least=None, most=None):
        self.least, self.most = least, most

    def __str__(self):
        return f"≥ {self.least:g}" if self.least is not None else f"≤ {self.most:g}"

    def met(self, value):
        return value >= self.least if self.least is not None else value <= self.most


def least(value):
    return Target(least=value)


def most(value):
    return Target(most=value)


class Row:
    def __init__(self, name, unit="", target=None):
        self.name, self.unit, self.target, self.values = name, unit, target, []
        self.kind = None # how a bench of its own judges it

    def median(self):
        return statistics.median(self.values)

    def met(self):
        return None if self.target is None or not self.values else self.target.met(self.median())

    def as_json(self):
        out = {"name": self.name, "unit": self.unit, "values": self.values, "target": str(self.target) if self.target else None,
               "met": self.met()}
        if self.values:
            out.update(median=self.median(), min=min(self.values), max=max(self.values))
        return out

    def as_line(self):
        said = {None: "", True: "met", False: "**missed**"}[self.met()]
        target = "" if self.target is None else str(self.target)
        if not self.values:
            return f"| {self.name} | {self.unit} | not measured | | {target} | |"
        return (f"| {self.name} | {self.unit} | {number(self.median())} | [{number(min(self.values))}-"
                f"{number(max(self.values))}] | {target} | {said} |")


def number(value):
    if value == int(value) and abs(value) < 1e15 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"


class Result:
    """Of one bench.  `short` lists guarantees that were not kept: the only thing that fails a run."""

    def __init__(self, name, about):
        self.name, self.about = name, about
        self.rows, self.wanted, self.cpu, self.notes, self.short, self.charts = {}, [], {}, [], [], []

    def row(self, name, unit="", target=None):
        return self.rows.setdefault(name, Row(name, unit, target))

    def add(self, name, value, unit="", target=None):
        self.row(name, unit, target).values.append(value)

    def ratio(self, name, upper, lower, target=None):
        """Of two rows, taken inside each round: what a shared machine's drift does to both cancels out."""
        self.wanted.append((name, upper, lower, target))

    def ratios(self):
        for name, upper, lower, target in self.wanted:
            row = Row(name, "ratio", target)
            pairs = zip(self.row(upper).values, self.row(lower).values)
            row.values = [a / b for a, b in pairs if b]
            yield row

    def spend(self, contender, programs, operations):
        """CPU seconds by program, of one round of so many operations."""
        mine = self.cpu.setdefault(contender, {})
        for program, seconds in programs.items():
            mine.setdefault(program, []).append(seconds / operations * 1e6)

    def note(self, text):
        if text not in self.notes:
            self.notes.append(text)

    def chart(self, **chart):
        self.charts.append(chart)

    def as_json(self):
        return {"about": self.about, "rows": [r.as_json() for r in self.rows.values()],
                "ratios": [r.as_json() for r in self.ratios()], "cpu_us_per_operation": self.cpu, "notes": self.notes,
                "short": self.short, "charts": self.charts}

    def show(self):
        print(f"\n## {self.name}\n\n{self.about}\n")
        print("| | unit | median | [min-max] | target | |\n| --- | --- | ---: | --- | --- | --- |")
        for row in [*self.rows.values(), *self.ratios()]:
            print(row.as_line())
        self.show_cpu()
        for note in self.notes:
            print(f"\n- {note}", end="")
        for fault in self.short:
            print(f"\n- **SHORT**: {fault}", end="")
        print(flush=True)

    def show_cpu(self):
        if not self.cpu:
            return
        columns = list(dict.fromkeys(p for programs in self.cpu.values() for p in programs))
        print(f"\n| CPU µs/operation | {' | '.join(columns)} | all |")
        print("| --- |" + " ---: |" * (len(columns) + 1))
        for contender, programs in self.cpu.items():
            cells = [statistics.median(programs[c]) if c in programs else None for c in columns]
            total = sum(c for c in cells if c is not None)
            print(f"| {contender} | {' | '.join('' if c is None else f'{c:.0f}' for c in cells)} | {total:.0f} |")
