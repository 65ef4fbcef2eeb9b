"""Numbers of the problems, and gains and losses told as clauses."""
from words_lexicon import EATS, GAINS, LOSSES


def limit(rng) -> int:
    """The largest number of a problem: mostly 100."""
    return rng.choices([100, 200, 999], [7, 2, 1])[0]


def factors(rng, low: int = 2, high: int = 12) -> tuple[int, int]:
    """Two factors: both up to twelve, or one of two digits and one of one digit."""
    if rng.random() < 0.2:
        pair = [rng.randint(11, 60), rng.randint(2, 9)]
        rng.shuffle(pair)
        return tuple(pair)
    return rng.randint(low, high), rng.randint(low, high)


def spread(rng, low: int, high: int) -> int | None:
    """A number in low...high, small ones more often; None if there is none."""
    if low > high:
        return None
    return min(rng.randint(low, high), rng.randint(low, high)) if rng.random() < 0.4 else rng.randint(low, high)


def step(total: int, amount: int) -> str:
    """`a + b = c` of a signed change."""
    return f"{total} {'+' if amount > 0 else '-'} {abs(amount)} = {total + amount}"


def drift(rng, total: int, top: int, least: int = 2) -> int | None:
    """A gain or a loss that keeps `total` in 0...top, signed; None if there is none."""
    gains = total < 6 or (total < 0.9 * top and rng.random() < 0.5)
    amount = spread(rng, least, min(top - total if gains else total, max(20, top // 2)))
    return amount if amount is None or gains else -amount


def change(rng, who, other, total: int, plural: str, food: bool, past: bool, top: int, named: bool):
    """A gain or a loss: (clause without its subject, signed amount), or None.

    `named` says the thing ("buys 3 more apples") instead of leaving it out.
    """
    signed = drift(rng, total, top, 1 if rng.random() < 0.1 else 2)
    if signed is None:
        return None
    amount = abs(signed)
    forms, tails = rng.choice(GAINS) if signed > 0 else EATS if food and rng.random() < 0.5 else rng.choice(LOSSES)
    verb, tail = who.verb(forms, past), rng.choice(tails).format(other=other.inside)
    if not named and tail:
        return f"{verb} {amount} {tail}", signed
    if tail == "more":
        return f"{verb} {amount} more {plural}", signed
    tail = tail.removeprefix("of them").strip()
    return f"{verb} {amount} {plural} {tail}".strip(), signed
