"""The screen of `churn demo`: lines of figures, each with what it rests on, and what was found untrue."""

from dataclasses import dataclass, field

from churn_assets.champion.card.limitations import less_profit_than
from churn_assets.champion.gate.bases import basis_of_rule
from churn_assets.champion.oracle import best_auc, best_in_words
from churn_assets.reporting.basis import Basis, basis_of, legend
from churn_store.releases.manifest import Blessing, Evaluation, Manifest

CHANCE = 0.01
"""So much may an AUC on some thousands of judging rows lie above the ceiling by chance."""


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


def describe_release(screen: Screen, manifest: Manifest) -> None:
    """What the release that serves is worth, what that assumes, and what the gate said of it."""
    metrics = manifest.metrics
    best = best_auc(metrics)
    screen.must(
        metrics["auc"] <= best + CHANCE,
        f"the champion's AUC of {metrics['auc']:.3f} is above the best that anyone could reach, {best:.3f}: it leaks",
    )
    judged = (
        f"on later snapshots {', '.join(manifest.judged_on)}"
        if manifest.judged_on
        else "on held-out customers (the data has no time, so the order of time could not be checked)"
    )
    screen.line("champion", basis_of("auc"), f"{manifest.family}, AUC {metrics['auc']:.3f}; {judged}")
    if (words := best_in_words(metrics)) is not None:
        screen.line("best from the tables", Basis.SIMULATED, words)
    if isinstance(manifest.evaluation, Evaluation):
        _describe_worth(screen, manifest.evaluation, threshold=manifest.threshold)
    blessing = manifest.blessing
    if blessing is not None:
        screen.line("gate", Basis.RECORDED, _verdict(blessing))
        for rule in blessing.rules:
            if rule.name == "baselines_beaten":
                screen.line("beside simple rules", basis_of_rule(rule.name), rule.found)
        if blessing.gain is not None:
            screen.line("gain", basis_of("gain"), f"{blessing.gain:+.3f} per customer above the former champion")


def _verdict(blessing: Blessing) -> str:
    """The gate's verdict, with the rules that could not decide."""
    passed = sum(rule.passed for rule in blessing.rules)
    first = "; no champion before it" if blessing.gain is None else ""
    return f"{blessing.in_words}; {passed} of {len(blessing.rules)} rules passed{first}"


def _describe_worth(screen: Screen, evaluation: Evaluation, *, threshold: float) -> None:
    """What the champion and the baselines bring on the same rows, and what that assumes."""
    for name, said in (("profit", f" at threshold {threshold:.3f}"), ("log_loss", "")):
        ours = evaluation.intervals[name]
        beside = ", ".join(
            f"{baseline.replace('_', ' ')} {found[name]:.3f}" for baseline, found in sorted(evaluation.baselines.items())
        )
        screen.line(
            "profit per customer" if name == "profit" else "log loss",
            basis_of(name),
            f"{ours.value:.3f} ({ours.low:.3f} to {ours.high:.3f}){said}; beside it: {beside}",
        )
    if less := less_profit_than(evaluation):
        screen.line("less profit than", basis_of("profit"), ", ".join(f"{name} by {by:.3f}" for name, by in less.items()))
    terms = evaluation.profit
    screen.line(
        "prices",
        Basis.ASSUMED,
        f"a customer who stays {terms.customer_value:g}, an offer {terms.offer_cost:g}, asking {terms.contact_cost:g}; "
        f"{terms.acceptance:.0%} of churners accept",
    )
