"""Families of freely worded problems, next to the plain ones of families.py. Each draws (question, solution lines, answer, numbers) or None to redraw.

A solution repeats the sentence that a step comes from and adds the operation: what to copy and what to
compute is settled by the question. Sums stay below 1000, mostly below 100; factors are at most 12, or one has two digits.
"""
from amounts import factors, limit
from families import operation
from words_lexicon import UNITS
from stories import before, compare, part, place, story, times_as_many, together
from trades import fraction, groups, pages, pay, rate, share, shop
from wording import people, person


def age(rng, mode):
    """Older and younger, in some years, some years ago."""
    who, other = people(rng, 0.08)
    am, were = ("am", "were") if who.name == "I" else ("is", "was")
    x, y, z = rng.randint(3, 60), rng.randint(2, 30), rng.randint(2, 20)
    question = f"{who.name} {am} {x} years old. "
    if mode == "one":
        if rng.random() < 0.6 or z >= x:
            return question + rng.choice([f"How old will {who.inside} be in {z} years?", f"How old will {who.inside} be {z} years from now?"]), \
                [f"In {z} years: {x} + {z} = {x + z}.", f"{who.answered} will be {x + z} years old."], x + z, [x, z]
        return question + f"How old was {who.inside} {z} years ago?", \
            [f"{z} years ago: {x} - {z} = {x - z}.", f"{who.answered} {were} {x - z} years old."], x - z, [x, -z]
    older = rng.random() < 0.65 or y >= x
    now = x + y if older else x - y
    word, sign = ("older", "+") if older else ("younger", "-")
    question += f"{other.name} is {y} years {word} than {who.object}. "
    lines = [f"{other.name} is {y} years {word}: {x} {sign} {y} = {now}."]
    if mode == "other":
        return question + f"How old is {other.inside}?", lines + [f"{other.name} is {now} years old."], now, [x, y if older else -y]
    return question + f"How old will {other.inside} be in {z} years?", \
        lines + [f"In {z} years: {now} + {z} = {now + z}.", f"{other.name} will be {now + z} years old."], now + z, [x, y if older else -y, z]


def bus(rng):
    """People leave and come."""
    where, leave, come = rng.choice([
        ("on a bus", "get off", "get on"), ("on a train", "get off", "get on"), ("on the ship", "get off", "get on"),
        ("in the cafe", "leave", "come in"), ("in a room", "leave", "come in"), ("at a party", "go home", "arrive")])
    start = rng.randint(10, 90)
    off, on = rng.randint(2, min(40, start)), rng.randint(2, 40)
    left = start - off
    kind = rng.choice(["people", "people", "passengers" if "get" in leave else "guests"])
    gone, came = f"{off} {kind} {leave}", f"{on} {kind if rng.random() < 0.6 else 'more'} {come}"
    question, lines = f"There are {start} {kind} {where}. ", [f"{gone}: {start} - {off} = {left}."]
    if rng.random() < 0.4:
        end, numbers = left, [start, -off]
        question += f"{gone}. "
    else:
        end, numbers = left + on, [start, off, on]
        lines.append(f"{came}: {left} + {on} = {left + on}.")
        stop = "At the first stop " if "get" in leave else ""
        question += rng.choice([f"{gone} and {came}. ", f"{stop}{gone}. Then {came}. "])
    return question + rng.choice([f"How many {kind} are {where.replace(' a ', ' the ')} now?", f"How many {kind} are there now?"]), \
        lines + [f"There are {end} {kind} now."], end, numbers


def garden(rng, mode):
    """Area and perimeter of a rectangle or square."""
    spot, unit = rng.choice(["garden", "room", "field", "park", "yard", "rectangle", "table", "wall"]), rng.choice(UNITS)
    if mode == "fence" and rng.random() < 0.25:
        side = rng.randint(2, 25)
        return f"A square {spot if spot != 'rectangle' else 'field'} has sides of {side} {unit}. What is {rng.choice(['its', 'the'])} perimeter?", \
            [f"Four sides: 4 * {side} = {4 * side} {unit}.", f"The perimeter is {4 * side} {unit}."], 4 * side, [side]
    x, y = factors(rng) if mode == "area" else (rng.randint(2, 40), rng.randint(2, 30))
    question = rng.choice([f"A {spot} is {x} {unit} long and {y} {unit} wide. ",
                           f"The length of a {spot} is {x} {unit} and the width is {y} {unit}. "])
    if mode == "area":
        return question + (f"What is the area of the {spot}?" if rng.random() < 0.7 else f"How large is the {spot}?"), \
            [f"The area is {x} * {y} = {x * y} square {unit}."], x * y, [x, y]
    return question + rng.choice([f"How long is the fence around the {spot}?", f"What is the perimeter of the {spot}?"]), \
        [f"Length and width: {x} + {y} = {x + y} {unit}.", f"Twice that: 2 * {x + y} = {2 * (x + y)} {unit}.",
         f"The perimeter is {2 * (x + y)} {unit}."], 2 * (x + y), [x, y]


def legs(rng):
    """Legs of animals, wheels of vehicles: two kinds."""
    what, where, two, four = rng.choice([
        ("legs", "A farm has", ["chickens", "ducks", "geese"], ["cows", "sheep", "horses", "pigs", "goats"]),
        ("wheels", "A garage has", ["bicycles", "motorcycles"], ["cars", "trucks"]), ("legs", "There are", ["birds", "hens"], ["dogs", "cats", "rabbits"])])
    two, four = rng.choice(two), rng.choice(four)
    x, y = rng.randint(2, 30), rng.randint(2, 24)
    total = 2 * x + 4 * y
    return f"{where} {x} {two} and {y} {four}. How many {what} do they have{rng.choice([' together', ' in all', ''])}?", \
        [f"{x} {two} have {x} * 2 = {2 * x} {what}.", f"{y} {four} have {y} * 4 = {4 * y} {what}.",
         f"In all: {2 * x} + {4 * y} = {total}.", f"They have {total} {what}."], total, [x, y]


def clock(rng):
    """Two durations, or a unit of time in smaller ones."""
    if rng.random() < 0.3:
        n = rng.randint(2, 9)
        unit, small, rate = rng.choice([("hours", "minutes", 60), ("days", "hours", 24), ("weeks", "days", 7),
                                        ("minutes", "seconds", 60), ("years", "months", 12), ("dozens", "pieces", 12)])
        return f"How many {small} are {rng.choice(['in ', ''])}{n} {unit}?", \
            [f"{n} {unit} are {n} * {rate} = {n * rate} {small}.", f"That is {n * rate} {small}."], n * rate, [n, rate]
    who = person(rng)
    first, second = rng.sample([
        ("clean", "the kitchen"), ("cook", "dinner"), ("play", "the piano"), ("read", "a book"), ("walk", "the dog"),
        ("water", "the garden"), ("practice", "chess"), ("paint", "a wall")], 2)
    said = [f"{verb}{'s' if who.third else ''} {what}" for verb, what in (first, second)]
    x, y = (rng.choice([rng.randint(2, 90), 5 * rng.randint(1, 18)]) for _ in range(2))
    question = f"{who.name} {said[0]} for {x} minutes and {said[1]} for {y} minutes. "
    if rng.random() < 0.6 or x == y:
        return question + rng.choice(["How many minutes is that?", "How many minutes is that in all?", "How long does that take in all?"]), \
            [f"In all: {x} + {y} = {x + y} minutes.", f"That is {x + y} minutes."], x + y, [x, y]
    high, low, sign = (x, y, "longer") if x > y else (y, x, "shorter")
    return question + f"How many minutes {sign} is the first?", \
        [f"The difference is {high} - {low} = {high - low} minutes.", f"The first is {high - low} minutes {sign}."], high - low, [x, y, 0]


def sum_drill(rng, terms):
    """Bare sums, differences, products and quotients, in words too; chains of two."""
    x, kind, y, z = operation(rng, "++--**/", factors, limit(rng))
    if terms == 1:
        words = {"+": ["plus"], "-": ["minus"], "*": ["times", "multiplied by"], "/": ["divided by"]}[kind]
        sign = rng.choice(words) if rng.random() < 0.35 else rng.choice(["x", "*", "*"]) if kind == "*" else kind
        space = " " if len(sign) > 1 or rng.random() < 0.75 else ""
        said = f"{x}{space}{sign}{space}{y}"
        return rng.choice([f"What is {said}?", f"What is {said}?", said, f"{said} =", f"{said}=?", f"Calculate {said}.", f"How much is {said}?", f"{said}?"]), \
            [f"{x} {kind} {y} = {z}."], z, [x, kind, y]
    if z < 4 or z > 400 or kind in "*/":
        return None
    plus = rng.random() < 0.5
    w = rng.randint(1, max(20, 200 - z)) if plus else rng.randint(1, z)
    end, sign = (z + w, "+") if plus else (z - w, "-")
    space = rng.choice([" ", " ", " ", ""])
    said = space.join(map(str, [x, kind, y, sign, w]))
    return rng.choice([f"What is {said}?", f"What is {said}?", said, f"{said} =", f"Calculate {said}."]), \
        [f"{x} {kind} {y} = {z}.", f"{z} {sign} {w} = {end}."], end, [x, kind, y, sign, w]


ALL = [
    ("story1", lambda r: story(r, 1), 12), ("story2", lambda r: story(r, 2), 10), ("story3", lambda r: story(r, 3), 6),
    ("place", place, 7), ("before", before, 4), ("together", together, 7), ("part", part, 7),
    ("difference", lambda r: compare(r, "difference"), 5), ("more", lambda r: compare(r, "other"), 5),
    ("moreBoth", lambda r: compare(r, "both"), 5), ("times", lambda r: times_as_many(r, False), 4),
    ("timesBoth", lambda r: times_as_many(r, True), 4), ("groups", lambda r: groups(r, "plain"), 6),
    ("groupsExtra", lambda r: groups(r, "extra"), 6), ("groupsTwo", lambda r: groups(r, "two"), 4),
    ("cost", lambda r: shop(r, "cost"), 5), ("change", lambda r: shop(r, "change"), 5), ("pricePair", lambda r: shop(r, "pair"), 3),
    ("costTwo", lambda r: shop(r, "two"), 4), ("fraction", fraction, 4), ("share", lambda r: share(r, "plain"), 5),
    ("boxes", lambda r: share(r, "boxes"), 4), ("shareAfter", lambda r: share(r, "after"), 4),
    ("pages", pages, 4), ("rate", rate, 5), ("earn", lambda r: pay(r, "earn"), 3), ("earnSpend", lambda r: pay(r, "spend"), 4),
    ("ageOne", lambda r: age(r, "one"), 2), ("ageOther", lambda r: age(r, "other"), 2), ("age", lambda r: age(r, "later"), 3),
    ("bus", bus, 4), ("area", lambda r: garden(r, "area"), 3), ("fence", lambda r: garden(r, "fence"), 3), ("legs", legs, 3),
    ("clock", clock, 4), ("drill1", lambda r: sum_drill(r, 1), 14), ("drill2", lambda r: sum_drill(r, 2), 5),
]
WEIGHTS = [weight for _, _, weight in ALL]
