"""The screen of `churn demo`: lines of figures, each with what it rests on, and what was found untrue."""

from dataclasses import dataclass, field

from churn_assets.reporting.basis import Basis, legend


@dataclass
class Screen:
    """What is printed in the end, and what of it was found untrue."""

    lines: list[str] = field(default_factory=list)
    untrue: list[str] = field(default_factory=list)
    bases: set[Basis] = field(default_factory=set)

    def line(self, name: str, basis: Basis, value: str) -> None:
        """A line of the screen, with what its figures rest on."""
        self.bases.add(basis)
        self.lines.append(f"  {name:<22}{basis:<11}{value}")

    def legend(self) -> list[str]:
        """What the words mean that stand before the figures."""
        return [f"  {word:<11}{meaning}" for word, meaning in legend(self.bases)]

    def must(self, true: bool, otherwise: str) -> None:
        """Something without which the demo has failed."""
        if not true:
            self.untrue.append(otherwise)
