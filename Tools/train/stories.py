"""Problems about what people have: gains and losses, comparisons, sums and parts."""
from amounts import change, drift, limit, spread, step
from words_lexicon import ANIMALS, PLACES, TIMES_WORDS
from wording import a, answered, people, person, thing

LEADS = ["Then ", "Later, ", "After that, ", "Next, ", "Now "]


def story(rng, events):
    """Somebody has some things; `events` gains and losses follow."""
    who, other = people(rng)
    food = rng.random() < 0.4
    _, plural = thing(rng, True if food else rng.choice([None, False]))
    top, past = limit(rng), rng.random() < 0.4
    begin = total = spread(rng, 3, 8 * top // 10)
    joined = events == 1 and rng.random() < 0.3  # one sentence for all
    numbers, clauses, lines = [total], [], [f"{who.answered} {who.verb_answered('start')} with {total} {plural}."]
    for _ in range(events):
        drawn = change(rng, who, other, total, plural, food, past, top, rng.random() < 0.4)
        if drawn is None:
            return None
        clause, amount = drawn
        subject = who.name if joined or rng.random() < 0.25 else who.pronoun
        clauses.append((subject, clause))
        lines.append(f"{answered(subject + ' ' + clause)}: {step(total, amount)}.")
        total += amount
        numbers.append(amount)
    own = "had" if past else who.has
    opening = rng.choice([f"{who.name} {own} {begin} {plural}", f"{who.name} {own} {begin} {plural}",
                          f"At first, {who.inside} {own} {begin} {plural}",
                          f"{who.name} {who.verb(('start', 'starts', 'started'), past)} with {begin} {plural}"])
    if joined:
        question = f"{opening} and {clauses[0][1]}. "
    else:
        question = opening + ". "
        for subject, clause in clauses:
            lead = rng.choice(["", "", "", *LEADS])
            said = subject if not lead else who.inside if subject == who.name else who.pronoun_inside
            question += f"{lead}{said} {clause}. "
    lost = all(n < 0 for n in numbers[1:])
    subject = who.inside if rng.random() < 0.6 else who.pronoun_inside
    question += rng.choice([
        f"How many {plural} {who.does} {subject} have now?", f"How many {plural} {who.does} {subject} have now?",
        f"How many {plural} {who.does} {subject} have {'left' if lost else 'in the end'}?",
        f"How many {plural} are {'left' if lost else 'there now'}?", f"How many {who.does} {subject} have now?",
        f"How many {plural} {'remain' if lost else 'are there in the end'}?"])
    lines.append(f"{who.answered} {who.has} {total} {plural} now.")
    return question, lines, total, numbers


def place(rng):
    """Things or animals at a place; some come or go."""
    animals = rng.random() < 0.5
    _, plural = rng.choice(ANIMALS) if animals else thing(rng)
    where = rng.choice(["in a tree", "on a farm", "in a field", "by the lake", "in the yard"]) if animals else \
        f"in {rng.choice(['a', 'the'])} {rng.choice(PLACES)}"
    top, past = limit(rng), rng.random() < 0.3
    total = spread(rng, 3, 8 * top // 10)
    there = f"There {'were' if past else 'are'}"
    question, lines, numbers = f"{there} {total} {plural} {where}. ", [f"{there} {total} {plural} at first."], [total]
    for _ in range(rng.choice([1, 1, 2])):
        signed = drift(rng, total, top)
        if signed is None:
            return None
        gains, amount = signed > 0, abs(signed)
        if animals:
            verbs = [("come", "came"), ("arrive", "arrived"), ("join them", "joined them")] if gains else \
                [("leave", "left"), ("go away", "went away"), ("run away", "ran away")]
            clause = f"{amount} {'more ' if gains else 'of them '}{rng.choice(verbs)[past]}"
        else:
            verb = rng.choice(["added", "put in", "brought"] if gains else ["taken out", "sold", "removed", "thrown away", "used"])
            named = plural + " " if rng.random() < 0.5 else ""
            clause = f"{amount} {'more ' if gains else ''}{named}{'were' if past else 'are'} {verb}"
        question += rng.choice(["", "", "Then ", "Later, "]) + clause + ". "
        lines.append(f"{clause}: {step(total, signed)}.")
        total += signed
        numbers.append(signed)
    question += rng.choice([f"How many {plural} are there now?", f"How many {plural} are {where} now?", "How many are there now?",
                            f"How many {plural} are {'left' if numbers[-1] < 0 else 'there in all'}?"])
    return question, lines + [f"There are {total} {plural} now."], total, numbers


def before(rng):
    """The beginning is asked for: the change is undone."""
    who, other = people(rng)
    food = rng.random() < 0.3
    _, plural = thing(rng, True if food else None)
    end = spread(rng, 2, 80)
    drawn = change(rng, who, other, 50, plural, food, True, 100, False)
    if drawn is None or not 0 < end - drawn[1] <= 100:
        return None
    clause, amount = drawn
    start = end - amount
    question = rng.choice([
        f"{who.name} had some {plural}. {who.pronoun} {clause} and {who.has} {end} {plural} now.",
        f"{who.name} had some {plural}. Then {who.pronoun_inside} {clause}. Now {who.inside} {who.has} {end}."])
    question += " " + rng.choice([f"How many {plural} did {who.inside} have at first?", f"How many did {who.inside} have before?",
                                  f"How many {plural} did {who.inside} have in the beginning?"])
    return question, [f"Before that, {who.answered_inside} had {step(end, -amount)} {plural}.",
                      f"{who.answered} had {start} {plural} at first."], start, [end, amount]


def compare(rng, mode):
    """More, fewer, how many more, and both together."""
    who, other = people(rng)
    _, plural = thing(rng)
    top, own = limit(rng), rng.choice([("have", None, None)] * 2 + [
        ("collect", "collects", "collected"), ("find", "finds", "found"), ("pick", "picks", "picked"), ("make", "makes", "made")])
    past, base = own[1] is not None and rng.random() < 0.7, own[0]
    has, has2 = (who.verb(own, past), other.verb(own, past)) if own[1] else (who.has, other.has)
    does, does2, do = ("did", "did", "did") if past else (who.does, other.does, "do")
    if mode == "difference":
        y, x = sorted((rng.randint(2, top - 1), rng.randint(2, top - 1)))
        if x == y:
            return None
        question = f"{who.name} {has} {x} {plural}. {other.name} {has2} {y} {plural}." if rng.random() < 0.6 else \
            f"{other.name} {has2} {y} {plural} and {who.inside} {has} {x}."  # who is named first has not always more
        lines = [f"{who.answered} {has} {x} and {other.inside} {has2} {y}: {x} - {y} = {x - y}."]
        if rng.random() < 0.65:
            question += f" How many more {plural} {does} {who.inside} {base} than {other.inside}?"
            lines.append(f"{who.answered} {has} {x - y} more {plural} than {other.inside}.")
        else:
            question += f" How many fewer {plural} {does2} {other.inside} {base} than {who.inside}?"
            lines.append(f"{other.name} {has2} {x - y} fewer {plural} than {who.object_answered}.")
        return question, lines, x - y, [x, y]
    more = rng.random() < 0.6
    x = spread(rng, 3, 7 * top // 10)
    y = spread(rng, 2, top - x if more else x - 1)
    if y is None:
        return None
    z = x + y if more else x - y
    word, sign = ("more", "+") if more else (rng.choice(["fewer", "fewer", "less"]), "-")
    said = f"{y} {word} {plural}" if rng.random() < 0.7 else f"{y} {word}"
    question = f"{who.name} {has} {x} {plural}{rng.choice(['. ' + other.name, ' and ' + other.inside])} {has2} {said} than {who.object}. "
    lines = [f"{other.name} {has2} {said} than {who.object_answered}: {x} {sign} {y} = {z}.", f"{other.name} {has2} {z} {plural}."]
    numbers = [x, y if more else -y]
    if mode == "other":
        return question + rng.choice([f"How many {plural} {does2} {other.inside} {base}?", f"How many {does2} {other.inside} {base}?"]), \
            lines, z, numbers
    if x + z > top:
        return None
    lines += [f"Together: {x} + {z} = {x + z}.", f"There are {x + z} {plural} in all."]
    return question + rng.choice([f"How many {plural} {do} {who.both} {base} together?", f"How many {do} {who.both} {base} in all?",
                                  f"How many {plural} {do} {who.both} {base} altogether?", f"How many {plural} are there in total?"]), \
        lines, x + z, numbers


def together(rng):
    """Sums of what two or three people, or two or three kinds, amount to."""
    count = rng.choice([2, 2, 3])
    top = limit(rng)
    parts = [spread(rng, 2, top // count) for _ in range(count)]
    if rng.random() < 0.5:
        names = [person(rng, 0) for _ in range(count)]
        if len({n.name for n in names}) < count:
            return None
        _, plural = thing(rng)
        verb, base = rng.choice([("has", "have"), ("found", "find"), ("picked", "pick"), ("made", "make"), ("sold", "sell"), ("bought", "buy")])
        said = [f"{names[0].name} {verb} {parts[0]} {plural}"] + [f"{n.inside} {verb} {x}" for n, x in zip(names[1:], parts[1:])]
        question = f"{', '.join(said[:-1])} and {said[-1]}. How many {plural} {'do' if verb == 'has' else 'did'} they {base} " \
            + rng.choice(["together?", "in all?", "altogether?"])
    else:
        kinds = [thing(rng)[1] for _ in range(count)]
        if len(set(kinds)) < count:
            return None
        who, plural = person(rng), "things"
        said = [f"{x} {kind}" for x, kind in zip(parts, kinds)]
        question = f"{who.name} {who.has} {', '.join(said[:-1])} and {said[-1]}. How many things " + rng.choice(
            [f"{who.does} {who.inside} have in all?", "is that altogether?", f"{who.does} {who.inside} have together?"])
    total, lines = parts[0], []
    for i, x in enumerate(parts[1:]):
        lines.append(f"{'In all' if i == count - 2 else 'First'}: {total} + {x} = {total + x}.")
        total += x
    return question, lines + [f"There are {total} {plural} in all."], total, parts


def part(rng):
    """A whole and one of its two parts; the other is asked for."""
    whole = rng.randint(6, limit(rng))
    one = spread(rng, 2, whole - 1)
    rest = whole - one
    who, kind = person(rng), rng.random()
    if kind < 0.35:
        plural, left, right = rng.choice([
            ("children", "boys", "girls"), ("students", "girls", "boys"), ("people", "men", "women"), ("people", "adults", "children"),
            ("animals", "cows", "sheep"), ("animals", "cats", "dogs")])
        where = rng.choice(["in a class", "in the room", "in the park", "on the train", "at the party"]) \
            if plural != "animals" else "on a farm"
        question = f"There are {whole} {plural} {where}. {one} of them are {left}" \
            + rng.choice([f" and the rest are {right}", f". The others are {right}"]) + f". How many {right} are there?"
        last = f"There are {rest} {right}."
    elif kind < 0.7:
        plural = thing(rng, False)[1].split(" ")[-1]
        first, second = rng.sample(["red", "blue", "green", "yellow", "white", "black"], 2)
        question = f"{who.name} {who.has} {whole} {plural}. {one} are {first} and the {rng.choice(['rest', 'others'])} are {second}. " \
            f"How many {second} {plural} {who.does} {who.inside} have?"
        last = f"{who.answered} {who.has} {rest} {second} {plural}."
    elif kind < 0.8:
        question = f"{who.name} {who.has} ${one}. {a(thing(rng)[0]).capitalize()} costs ${whole}. " \
            f"How much more money {who.does} {who.inside} need?"
        last = f"{who.answered} {who.verb(('need', 'needs', 'needed'), False)} ${rest} more."
    elif kind < 0.9:
        question = f"A book has {whole} pages. {who.name} {rng.choice([who.has + ' read', 'read'])} {one} of them. " \
            f"How many pages are left{rng.choice([' to read', ''])}?"
        last = f"{rest} pages are left."
    else:
        unit = rng.choice(["kilometers", "miles", "meters"])
        question = f"The way to {rng.choice(['school', 'town', 'the lake', 'the station'])} is {whole} {unit}. " \
            f"{who.name} walked {one} {unit}. How many {unit} are left?"
        last = f"{rest} {unit} are left."
    return question, [f"The rest is {whole} - {one} = {rest}.", last], rest, [whole, one]


def times_as_many(rng, both):
    """Two, three ... times as many, and both together."""
    who, other = people(rng)
    _, plural = thing(rng)
    n = rng.choice([2, 2, 3, 4, 5])
    word = "twice" if n == 2 else rng.choice([TIMES_WORDS[n], f"{n} times"])
    x = rng.randint(2, 100 // (n + 1) if rng.random() < 0.8 else 99)
    z = x * n
    said = f"{word} as many{rng.choice([' ' + plural, ''])}"
    question = f"{who.name} {who.has} {x} {plural}{rng.choice(['. ' + other.name, ' and ' + other.inside])} {other.has} {said} as {who.object}. "
    lines = [f"{other.name} {other.has} {said} as {who.object_answered}: {n} * {x} = {z}.", f"{other.name} {other.has} {z} {plural}."]
    if not both:
        return question + rng.choice([f"How many {plural} {other.does} {other.inside} have?",
                                      f"How many {other.does} {other.inside} have?"]), lines, z, [x, n]
    lines += [f"Together: {x} + {z} = {x + z}.", f"There are {x + z} {plural} in all."]
    return question + rng.choice([f"How many {plural} do {who.both} have together?", f"How many do {who.both} have in all?",
                                  f"How many {plural} do {who.both} have altogether?"]), lines, x + z, [x, n]
