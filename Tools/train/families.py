"""The problem families. Each draws (question, solution lines, answer, numbers) or None to redraw.

Sums and differences stay in 0...100, factors in 2...12 (products up to 100).
"""
from lexicon import CONTAINERS, FOODS, NAMES, THINGS, WORKPLACES

LIMIT = 100


def people(rng, count=2):
    """`count` different (name, pronoun) pairs."""
    return rng.sample(NAMES, count)


def thing(rng):
    """(singular, plural) of something countable."""
    return rng.choice(THINGS + FOODS)


def factors(rng, low=2, high=12):
    """Two factors whose product is at most LIMIT."""
    while True:
        a, b = rng.randint(low, high), rng.randint(low, high)
        if a * b <= LIMIT:
            return a, b


def spread(rng, low, high):
    """A number in low...high, small ones more often."""
    return min(rng.randint(low, high), rng.randint(low, high)) if rng.random() < 0.3 else rng.randint(low, high)


def story(rng, events):
    """Somebody has some things; `events` gains and losses follow."""
    (name, pronoun), (other, _) = people(rng)
    food = rng.random() < 0.4
    _, plural = rng.choice(FOODS if food else THINGS)
    total = spread(rng, 5, 80)
    numbers = [total]
    question = [f"{name} has {total} {plural}."]
    lines = [f"{name} starts with {total} {plural}."]
    for _ in range(events):
        gains = total < 8 or (total < 90 and rng.random() < 0.5)
        change = spread(rng, 2, min(50, LIMIT - total)) if gains else spread(rng, 2, min(total, 50))
        if gains:
            verb, tail = rng.choice([("buys", "more"), ("finds", "more"), (f"gets", f"from {other}"), ("makes" if food else "wins", "more")])
        else:
            verb, tail = rng.choice([("gives", f"to {other}"), ("sells", "of them"), ("eats" if food else "loses", "of them")])
        after = total + change if gains else total - change
        question.append(f"{pronoun} {verb} {change} {tail}.")
        lines.append(f"{pronoun} {verb} {change} {tail}: {total} {'+' if gains else '-'} {change} = {after}.")
        total = after
        numbers.append(change if gains else -change)
    question.append(f"How many {plural} does {name} have now?")
    lines.append(f"{name} has {total} {plural} now.")
    return " ".join(question), lines, total, numbers


def compare(rng, mode):
    """More, fewer, how many more, and both together."""
    (name, _), (other, _) = people(rng)
    _, plural = thing(rng)
    if mode == "difference":
        a, b = sorted((rng.randint(2, 99), rng.randint(2, 99)), reverse=True)
        if a == b:
            return None
        return (f"{name} has {a} {plural}. {other} has {b} {plural}. How many more {plural} does {name} have than {other}?",
                [f"{name} has {a} and {other} has {b}: {a} - {b} = {a - b}.",
                 f"{name} has {a - b} more {plural} than {other}."], a - b, [a, b])
    more = rng.random() < 0.6
    a = spread(rng, 3, 70)
    b = spread(rng, 2, LIMIT - a if more else a)
    c = a + b if more else a - b
    word, sign = ("more", "+") if more else ("fewer", "-")
    question = f"{name} has {a} {plural}. {other} has {b} {word} {plural} than {name}. "
    lines = [f"{other} has {b} {word} than {name}: {a} {sign} {b} = {c}.", f"{other} has {c} {plural}."]
    numbers = [a, b if more else -b]
    if mode == "other":
        return question + f"How many {plural} does {other} have?", lines, c, numbers
    if a + c > LIMIT:
        return None
    lines += [f"Together they have {a} + {c} = {a + c}.", f"{name} and {other} have {a + c} {plural} together."]
    return question + "How many do they have together?", lines, a + c, numbers


def times_as_many(rng, together):
    """Two, three ... times as many, and both together."""
    (name, _), (other, _) = people(rng)
    _, plural = thing(rng)
    word, n = rng.choice([("twice", 2), ("3 times", 3), ("4 times", 4), ("5 times", 5)])
    a = rng.randint(2, LIMIT // (n + 1))
    c = a * n
    question = f"{name} has {a} {plural}. {other} has {word} as many {plural} as {name}. "
    lines = [f"{other} has {word} as many as {name}: {n} * {a} = {c}.", f"{other} has {c} {plural}."]
    if not together:
        return question + f"How many {plural} does {other} have?", lines, c, [a, n]
    lines += [f"Together they have {a} + {c} = {a + c}.", f"{name} and {other} have {a + c} {plural} together."]
    return question + "How many do they have together?", lines, a + c, [a, n]


def groups(rng, mode):
    """Equal groups; then more, fewer, or a second kind of group."""
    (name, pronoun), (other, _) = people(rng)
    _, plural = thing(rng)
    (box, boxes), (bag, bags) = rng.sample(CONTAINERS, 2)
    a, b = factors(rng)
    total = a * b
    question = f"{name} has {a} {boxes} with {b} {plural} in each {box}. "
    lines = [f"{a} {boxes} with {b} {plural} each: {a} * {b} = {total}."]
    numbers = [a, b]
    if mode == "extra":
        gains = rng.random() < 0.5
        if gains and total > LIMIT - 2:
            return None
        c = spread(rng, 2, min(50, LIMIT - total)) if gains else spread(rng, 2, min(50, total))
        after = total + c if gains else total - c
        verb, tail = rng.choice([("buys", "more"), ("finds", "more")] if gains else [("gives", f"to {other}"), ("sells", "of them")])
        question += f"{pronoun} {verb} {c} {tail}. "
        lines += [f"{pronoun} {verb} {c} {tail}: {total} {'+' if gains else '-'} {c} = {after}."]
        total = after
        numbers.append(c if gains else -c)
    elif mode == "two":
        c, d = factors(rng)
        if total + c * d > LIMIT:
            return None
        question = question[:-2] + f", and {c} {bags} with {d} {plural} in each {bag}. "
        lines += [f"{c} {bags} with {d} {plural} each: {c} * {d} = {c * d}.",
                  f"In all: {total} + {c * d} = {total + c * d}."]
        total += c * d
        numbers += [c, d]
    lines.append(f"{name} has {total} {plural}.")
    return question + f"How many {plural} does {name} have?", lines, total, numbers


def shop(rng, mode):
    """Prices: one kind, change from a note, two kinds."""
    (name, _), = people(rng, 1)
    (one, many), (one2, many2) = rng.sample(THINGS + FOODS, 2)
    price, count = factors(rng)
    cost = price * count
    question = f"Each {one} costs ${price}. {name} buys {count} {many}"
    lines = [f"{count} {many} cost {count} * {price} = {cost} dollars."]
    if mode == "cost":
        return question + f". How much does {name} pay?", lines + [f"{name} pays ${cost}."], cost, [price, count]
    if mode == "change":
        note = rng.choice([n for n in (20, 50, 100) if n >= cost])
        lines += [f"The change is {note} - {cost} = {note - cost} dollars.", f"{name} gets ${note - cost} back."]
        return (question + f" and pays with ${note}. How much does {name} get back?",
                lines, note - cost, [price, count, note])
    price2, count2 = factors(rng)
    cost2 = price2 * count2
    if cost + cost2 > LIMIT:
        return None
    question = (f"Each {one} costs ${price} and each {one2} costs ${price2}. "
                f"{name} buys {count} {many} and {count2} {many2}. How much does {name} pay?")
    lines += [f"{count2} {many2} cost {count2} * {price2} = {cost2} dollars.",
              f"In all: {cost} + {cost2} = {cost + cost2}.", f"{name} pays ${cost + cost2}."]
    return question, lines, cost + cost2, [price, count, price2, count2]


def share(rng, mode):
    """Equal shares; shares after a change; half given away."""
    (name, pronoun), (other, _) = people(rng)
    _, plural = thing(rng)
    if mode == "half":
        a = 2 * rng.randint(2, 50)
        return (f"{name} has {a} {plural}. {pronoun} gives half of them to {other}. How many {plural} does {name} have left?",
                [f"Half of {a} is {a} / 2 = {a // 2}.", f"{name} has {a // 2} {plural} left."], a // 2, [a])
    each, friends = factors(rng)
    total = each * friends
    shared = [f"{friends} friends share {total} {plural}: {total} / {friends} = {each}.", f"Each friend gets {each} {plural}."]
    if mode == "plain":
        return (f"{name} shares {total} {plural} equally among {friends} friends. How many {plural} does each friend get?",
                shared, each, [total, friends])
    gains = rng.random() < 0.5
    change = spread(rng, 2, min(40, total - 2)) if gains else spread(rng, 2, 40)
    start = total - change if gains else total + change
    if start > LIMIT:
        return None
    verb, tail = ("buys", "more") if gains else (("eats" if plural in [p for _, p in FOODS] else "loses"), "of them")
    return (f"{name} has {start} {plural}. {pronoun} {verb} {change} {tail}. Then {pronoun.lower()} shares the {plural} equally "
            f"among {friends} friends. How many {plural} does each friend get?",
            [f"{pronoun} {verb} {change} {tail}: {start} {'+' if gains else '-'} {change} = {total}."] + shared,
            each, [start, change if gains else -change, friends])


def daily(rng, mode):
    """Rates: pages or dollars a day for some days, then the rest or the expense."""
    (name, pronoun), = people(rng, 1)
    rate, days = factors(rng)
    total = rate * days
    if mode == "pages":
        book = total + spread(rng, 2, 60)
        if book > LIMIT:
            return None
        return (f"A book has {book} pages. {name} reads {rate} pages a day for {days} days. How many pages are left?",
                [f"{name} reads {rate} pages a day for {days} days: {rate} * {days} = {total}.",
                 f"The pages left are {book} - {total} = {book - total}.", f"{book - total} pages are left."],
                book - total, [book, rate, days])
    place = rng.choice(WORKPLACES)
    question = f"{name} works at a {place} and earns ${rate} an hour. {pronoun} works {days} hours"
    lines = [f"{name} earns ${rate} an hour for {days} hours: {rate} * {days} = {total}."]
    if mode == "earn":
        return question + f". How much does {name} earn?", lines + [f"{name} earns ${total}."], total, [rate, days]
    spent = spread(rng, 2, total)
    return (question + f" and spends ${spent}. How much does {name} have left?",
            lines + [f"{pronoun} spends ${spent}: {total} - {spent} = {total - spent}.", f"{name} has ${total - spent} left."],
            total - spent, [rate, days, spent])


def age(rng):
    """Older, and in some years."""
    (name, _), (other, _) = people(rng)
    a, b, c = rng.randint(3, 40), rng.randint(2, 30), rng.randint(2, 20)
    older = rng.random() < 0.7 or b >= a
    now = a + b if older else a - b
    word, sign = ("older", "+") if older else ("younger", "-")
    return (f"{name} is {a} years old. {other} is {b} years {word} than {name}. How old will {other} be in {c} years?",
            [f"{other} is {b} years {word}: {a} {sign} {b} = {now}.", f"In {c} years: {now} + {c} = {now + c}.",
             f"{other} will be {now + c} years old."], now + c, [a, b if older else -b, c])


def bus(rng):
    """People get off and on."""
    start = rng.randint(10, 60)
    off, on = rng.randint(2, min(30, start)), rng.randint(2, 30)
    left = start - off
    return (f"There are {start} people on a bus. {off} people get off and {on} people get on. How many people are on the bus now?",
            [f"{off} people get off: {start} - {off} = {left}.", f"{on} people get on: {left} + {on} = {left + on}.",
             f"There are {left + on} people on the bus now."], left + on, [start, off, on])


def garden(rng, mode):
    """Area and perimeter of a rectangle."""
    place = rng.choice(["garden", "room", "field", "park"])
    a, b = factors(rng)
    question = f"A {place} is {a} meters long and {b} meters wide. "
    if mode == "area":
        return (question + f"What is the area of the {place}?",
                [f"The area is {a} * {b} = {a * b} square meters."], a * b, [a, b])
    a, b = rng.randint(2, 30), rng.randint(2, 20)
    return (f"A {place} is {a} meters long and {b} meters wide. How long is the fence around the {place}?",
            [f"Length and width are {a} + {b} = {a + b} meters.", f"The fence is 2 * {a + b} = {2 * (a + b)} meters long."],
            2 * (a + b), [a, b])


def legs(rng):
    """Two- and four-legged animals on a farm."""
    two, four = rng.choice(["chickens", "ducks"]), rng.choice(["cows", "sheep", "horses"])
    a, b = rng.randint(2, 20), rng.randint(2, 15)
    return (f"A farm has {a} {two} and {b} {four}. How many legs do the animals have?",
            [f"{a} {two} have {a} * 2 = {2 * a} legs.", f"{b} {four} have {b} * 4 = {4 * b} legs.",
             f"In all: {2 * a} + {4 * b} = {2 * a + 4 * b}.", f"The animals have {2 * a + 4 * b} legs."],
            2 * a + 4 * b, [a, b])


def operation(rng, kinds, factors=factors, top=LIMIT):
    """Draws (a, operator, b, result) with the operator from `kinds`, sums of at most `top`."""
    kind = rng.choice(kinds)
    if kind in "*/":
        a, b = factors(rng)
        return (a, kind, b, a * b) if kind == "*" else (a * b, kind, a, b)
    a = rng.randint(1, top - 1)
    b = rng.randint(1, top - a if kind == "+" else a)
    return a, kind, b, a + b if kind == "+" else a - b


def equation(rng):
    """One bare operation, mostly sums and differences: text, result, and the drill problem's key."""
    a, kind, b, c = operation(rng, "++++----*/")
    return f"{a} {kind} {b}", c, f"drill1:{a},{kind},{b}"


def sum_drill(rng, terms):
    """Bare sums, differences, products and quotients; chains of two."""
    a, kind, b, c = operation(rng, "++--**/")
    if terms == 1:
        return f"What is {a} {kind} {b}?", [f"{a} {kind} {b} = {c}."], c, [a, kind, b]
    if c < 4 or c > 96 or kind in "*/":
        return None
    plus = rng.random() < 0.5
    d = rng.randint(1, LIMIT - c) if plus else rng.randint(1, c)
    e, sign = (c + d, "+") if plus else (c - d, "-")
    return (f"What is {a} {kind} {b} {sign} {d}?", [f"{a} {kind} {b} = {c}.", f"{c} {sign} {d} = {e}."], e,
            [a, kind, b, sign, d])


ALL = [
    ("story1", lambda r: story(r, 1), 10), ("story2", lambda r: story(r, 2), 10), ("story3", lambda r: story(r, 3), 6),
    ("difference", lambda r: compare(r, "difference"), 5), ("more", lambda r: compare(r, "other"), 5),
    ("moreBoth", lambda r: compare(r, "both"), 5), ("times", lambda r: times_as_many(r, False), 4),
    ("timesBoth", lambda r: times_as_many(r, True), 4), ("groups", lambda r: groups(r, "plain"), 5),
    ("groupsExtra", lambda r: groups(r, "extra"), 6), ("groupsTwo", lambda r: groups(r, "two"), 4),
    ("cost", lambda r: shop(r, "cost"), 4), ("change", lambda r: shop(r, "change"), 5),
    ("costTwo", lambda r: shop(r, "two"), 4), ("half", lambda r: share(r, "half"), 2),
    ("share", lambda r: share(r, "plain"), 5), ("shareAfter", lambda r: share(r, "after"), 4),
    ("pages", lambda r: daily(r, "pages"), 4), ("earn", lambda r: daily(r, "earn"), 3),
    ("earnSpend", lambda r: daily(r, "spend"), 4), ("age", age, 4), ("bus", bus, 4),
    ("area", lambda r: garden(r, "area"), 2), ("fence", lambda r: garden(r, "fence"), 3), ("legs", legs, 3),
    ("drill1", lambda r: sum_drill(r, 1), 12), ("drill2", lambda r: sum_drill(r, 2), 4),
]
WEIGHTS = [weight for _, _, weight in ALL]
