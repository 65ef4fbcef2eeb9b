"""Problems of products and shares: groups, prices, shares, rates."""
from amounts import change, factors, spread, step
from words_lexicon import CONTAINERS, WORKPLACES
from wording import a, answered, people, person, thing, things


def groups(rng, mode):
    """Equal groups; then more, fewer, or a second kind of group."""
    who, other = people(rng)
    food = rng.random() < 0.4
    _, plural = thing(rng, True if food else None)
    (box, boxes), (bag, bags) = rng.sample(CONTAINERS, 2)
    x, y = factors(rng)
    total = x * y
    kinds = [f"{who.name} {who.has} {x} {boxes} with {y} {plural} in each {box}. ", f"There are {x} {boxes} with {y} {plural} in each {box}. ",
             f"{who.name} {who.has} {x} {boxes} of {y} {plural} each. "]
    if mode != "two":
        kinds += [f"{who.name} {who.has} {x} {boxes}. Each {box} {rng.choice(['has', 'holds', 'contains'])} {y} {plural}. ",
                  f"{who.name} {who.verb(('buy', 'buys', 'bought'), rng.random() < 0.5)} {x} {boxes} with {y} {plural} each. ",
                  f"There are {y} {plural} in {rng.choice(['each', 'every', 'a'])} {box}. {who.name} {who.has} {x} {boxes}. "]
    question = rng.choice(kinds)
    owned = not question.startswith(f"There are {x}")
    word = "of" if f"{boxes} of" in question else "with"
    lines, numbers = [f"{x} {boxes} {word} {y} {plural} each: {x} * {y} = {total}."], [x, y]
    if mode == "extra":
        drawn = change(rng, who, other, total, plural, food, False, max(100, total + 20), False)
        if drawn is None:
            return None
        clause, amount = drawn
        subject = who.pronoun if owned else who.name
        question += f"{subject} {clause}. "
        lines.append(f"{answered(subject + ' ' + clause)}: {step(total, amount)}.")
        total += amount
        numbers.append(amount)
    elif mode == "two":
        c, d = factors(rng)
        if total + c * d > 300:
            return None
        end = f"of {d} {plural} each" if word == "of" else f"with {d} {plural} in each {bag}"
        question = f"{question[:-2]} and {c} {bags} {end}. "
        lines += [f"{c} {bags} {word} {d} {plural} each: {c} * {d} = {c * d}.", f"In all: {total} + {c * d} = {total + c * d}."]
        total += c * d
        numbers += [c, d]
    if owned or mode == "extra":
        lines.append(f"{who.answered} {who.has} {total} {plural}.")
        question += f"How many {plural} {who.does} {who.inside} have" + rng.choice(["?", " in all?", " now?"])
    else:
        lines.append(f"There are {total} {plural}.")
        question += f"How many {plural} are there" + rng.choice(["?", " in all?", " altogether?"])
    return question, lines, total, numbers


def shop(rng, mode):
    """Prices: one kind, change from a note, two kinds, two prices."""
    who = person(rng)
    (one, many), (one2, many2) = things(rng)
    price, count = factors(rng)
    cost = price * count
    past = rng.random() < 0.35
    buys, pays = who.verb(("buy", "buys", "bought"), past), who.verb(("pay", "pays", "paid"), past)
    did = "did" if past else who.does
    if mode == "pair":
        x, y = rng.randint(2, 60), rng.randint(2, 40)
        return f"{a(one).capitalize()} costs ${x} and {a(one2)} costs ${y}. How much " + rng.choice(
            ["do they cost together?", "is that together?", f"{who.does} {who.inside} pay for both?"]), \
            [f"Together: {x} + {y} = {x + y} dollars.", f"The price is ${x + y}."], x + y, [x, y]
    if mode == "two":
        return shop_two(rng, who, buys, did, (one, many, price, count), (one2, many2, *factors(rng)))
    question = rng.choice([
        f"Each {one} costs ${price}. {who.name} {buys} {count} {many}", f"{a(one).capitalize()} costs ${price}. {who.name} {buys} {count} {many}",
        f"One {one} costs {price} dollars. {who.name} {buys} {count} of them", f"{who.name} {buys} {count} {many} for ${price} each",
        f"{many.capitalize()} cost ${price} each. {who.name} {buys} {count} {many}"])
    lines = [f"{count} {many} cost {count} * {price} = {cost} dollars."]
    if mode == "cost":
        return question + rng.choice([f". How much {did} {who.inside} pay?", f". How much {did} {who.inside} pay in all?", ". How much is that?",
                                      f". What {'did' if past else 'does'} that cost?"]), lines + [f"The price is ${cost}."], cost, [price, count]
    notes = [n for n in (20, 50, 100, 200) if n >= cost]
    if not notes:
        return None
    note = rng.choice(notes[:2])
    numbers = [price, count, note]
    if rng.random() < 0.3:
        question = f"{who.name} {'had' if past else who.has} ${note}. {question.replace(who.name, who.pronoun, 1)}. "
        lines += [f"What is left is {note} - {cost} = {note - cost} dollars.", f"{who.answered} {who.has} ${note - cost} left."]
        return question + f"How much money {who.does} {who.inside} have left?", lines, note - cost, numbers
    gets = who.verb(("get", "gets", "got"), past)
    lines += [f"The change is {note} - {cost} = {note - cost} dollars.", f"{who.answered} {gets} ${note - cost} back."]
    return f"{question} and {pays} with {rng.choice([f'${note}', f'a ${note} note', f'a ${note} bill'])}. How much " \
        + rng.choice([f"{did} {who.inside} get back?", f"change {did} {who.inside} get?"]), lines, note - cost, numbers


def shop_two(rng, who, buys, did, first, second):
    """Two kinds of things: (singular, plural, price, count) each."""
    (one, many, price, count), (one2, many2, price2, count2) = first, second
    cost, cost2 = price * count, price2 * count2
    if cost + cost2 > 300:
        return None
    question = rng.choice([
        f"Each {one} costs ${price} and each {one2} costs ${price2}. {who.name} {buys} {count} {many} and {count2} {many2}. ",
        f"{who.name} {buys} {count} {many} for ${price} each and {count2} {many2} for ${price2} each. ",
        f"{a(one).capitalize()} costs ${price} and {a(one2)} costs ${price2}. {who.name} {buys} {count} {many} and {count2} {many2}. "])
    lines = [f"{count} {many} cost {count} * {price} = {cost} dollars.", f"{count2} {many2} cost {count2} * {price2} = {cost2} dollars.",
             f"In all: {cost} + {cost2} = {cost + cost2}.", f"The price is ${cost + cost2}."]
    return question + f"How much {did} {who.inside} {rng.choice(['pay', 'pay in all', 'spend'])}?", lines, cost + cost2, \
        [price, count, price2, count2]


def fraction(rng):
    """Half, a third or a quarter is given away or sold."""
    who, other = people(rng)
    _, plural = thing(rng)
    n, word = rng.choice([(2, "half"), (2, "half"), (3, "a third"), (4, "a quarter")])
    x = n * rng.randint(2, 99 // n)
    y = x // n
    them = rng.choice(["them", "the " + plural])
    parted = rng.choice([f"{who.verb(('give', 'gives', 'gave'), False)} {word} of {them} to {other.inside}",
                         f"{who.verb(('sell', 'sells', 'sold'), False)} {word} of {them}"])
    lines = [f"{word.capitalize()} of {x} is {x} / {n} = {y}."] + ([] if n == 2 else [f"{x} - {y} = {x - y} are left."])
    return f"{who.name} {who.has} {x} {plural}. {who.pronoun} {parted}. How many {plural} {who.does} {who.inside} have left?", \
        lines + [f"{who.answered} {who.has} {x - y} {plural} left."], x - y, [x, n]


def share(rng, mode):
    """Equal shares; shares after a change; boxes needed."""
    who, other = people(rng)
    food = rng.random() < 0.4
    _, plural = thing(rng, True if food else None)
    each, count = factors(rng)
    total = each * count
    if mode == "boxes":
        box, boxes = rng.choice(CONTAINERS)
        question = rng.choice([
            f"{who.name} {who.verb(('pack', 'packs', 'packed'), False)} {total} {plural} into {boxes} of {each}. How many {boxes} {who.does} {who.inside} need?",
            f"{who.name} {who.has} {total} {plural}. Each {box} holds {each} {plural}. How many {boxes} {who.does} {who.inside} need?",
            f"{who.name} {who.verb(('put', 'puts', 'put'), False)} {each} {plural} in each {box}. How many {boxes} are needed for {total} {plural}?"])
        return question, [f"{total} {plural}, {each} in each {box}: {total} / {each} = {count}.", f"{count} {boxes} are needed."], count, \
            [total, each, 0]
    group, member = rng.choice([("friends", "friend"), ("children", "child"), ("people", "person"), ("students", "student"), ("neighbors", "neighbor")])
    shares = who.verb(rng.choice([("share", "shares", "shared"), ("split", "splits", "split"), ("divide", "divides", "divided")]), False)
    lines = [f"{total} {plural} for {count} {group}: {total} / {count} = {each}.", f"Each {member} gets {each} {plural}."]
    asked = rng.choice([f"How many {plural} does each {member} get?", f"How many does each {member} get?", f"How many {plural} does every {member} get?"])
    if mode == "plain":
        question = f"{count} {group} share {total} {plural} equally. " if rng.random() < 0.25 else \
            f"{who.name} {shares} {total} {plural} {rng.choice(['equally ', ''])}{rng.choice(['among', 'among', 'with'])} {count} {group}. "
        return question + asked, lines, each, [total, count]
    drawn = change(rng, who, other, total, plural, food, False, 100, False)
    if drawn is None or not 0 < total - drawn[1] <= 150:
        return None
    clause, amount = drawn
    start = total - amount
    shared = rng.choice(["rest", plural]) if amount < 0 else plural
    return f"{who.name} {who.has} {start} {plural}. {who.pronoun} {clause}. Then {who.pronoun_inside} {shares} the {shared} equally " \
        f"among {count} {group}. {asked}", \
        [f"{answered(who.pronoun + ' ' + clause)}: {step(start, amount)}."] + lines, each, [start, amount, count]


def pages(rng):
    """Pages a day for some days, and what is left of the book."""
    who = person(rng)
    rate, days = factors(rng)
    total = rate * days
    book = total + spread(rng, 2, 90)
    said = f"{who.name} {who.verb(('read', 'reads', 'read'), rng.random() < 0.3)} {rate} pages {rng.choice(['a', 'every', 'each'])} day for {days} days"
    return f"A book has {book} pages. {said}. How many pages are left{rng.choice(['', ' to read'])}?", \
        [f"{answered(said)}: {rate} * {days} = {total}.", f"The pages left are {book} - {total} = {book - total}.",
         f"{book - total} pages are left."], book - total, [book, rate, days]


def rate(rng):
    """So many an hour, a day or a week for some time."""
    who = person(rng)
    each, days = factors(rng)
    total, past = each * days, rng.random() < 0.3
    forms, what, unit = rng.choice([
        (("make", "makes", "made"), thing(rng)[1], "day"), (("sell", "sells", "sold"), thing(rng)[1], "day"),
        (("run", "runs", "ran"), "kilometers", "day"), (("walk", "walks", "walked"), "miles", "day"),
        (("drive", "drives", "drove"), "kilometers", "hour"), (("bake", "bakes", "baked"), thing(rng, True)[1], "hour"),
        (("collect", "collects", "collected"), thing(rng)[1], "week"), (("drink", "drinks", "drank"), "glasses of water", "day"),
        (("write", "writes", "wrote"), "pages", "day"), (("learn", "learns", "learned"), "words", "day")])
    said = f"{who.name} {who.verb(forms, past)} {each} {what} {rng.choice(['an' if unit == 'hour' else 'a', 'every', 'each', 'per'])} {unit}"
    question = rng.choice([
        f"{said}. How many {what} {'did' if past else who.does} {who.inside} {forms[0]} in {days} {unit}s?",
        f"{said} for {days} {unit}s. How many {what} is that?", f"{said}. How many {what} is that in {days} {unit}s?"])
    return question, [f"{each} {what} for {days} {unit}s: {each} * {days} = {total}.", f"That is {total} {what}."], total, [each, days]


def pay(rng, mode):
    """Dollars an hour, a day or a week for some time; then an expense."""
    who = person(rng)
    each, count = factors(rng)
    total, past = each * count, rng.random() < 0.3
    unit = rng.choice(["hour", "hour", "day", "week"])
    per = rng.choice(["an" if unit == "hour" else "a", "per", "every"])
    verb, works = ("earn", "earns", "earned"), who.verb(("work", "works", "worked"), past)
    earns = who.verb(verb, past)
    kind = rng.randrange(4)
    if kind == 3:
        verb = ("save", "saves", "saved")
    question = [f"{who.name} {works} at {a(rng.choice(WORKPLACES))} and {earns} ${each} {per} {unit}. {who.pronoun} {works} {count} {unit}s",
                f"{who.name} {earns} ${each} {per} {unit}. {who.pronoun} {works} {count} {unit}s",
                f"{who.name} {works} {count} {unit}s and {earns} ${each} {per} {unit}",
                f"{who.name} {who.verb(verb, past)} ${each} {per} {unit} for {count} {unit}s"][kind]
    lines = [f"${each} {per} {unit} for {count} {unit}s: {each} * {count} = {total}."]
    money = rng.choice(["", "money "])
    if mode == "earn":
        return question + f". How much {money}{'did' if past else who.does} {who.inside} {verb[0]}?", \
            lines + [f"{who.answered} {who.verb(verb, past)} ${total}."], total, [each, count]
    spent = spread(rng, 2, total)
    clause = f"{who.verb(('spend', 'spends', 'spent'), past)} ${spent}{rng.choice(['', f' on {a(thing(rng)[0])}'])}"
    subject, said = rng.choice([(who.name, f" and {clause}"), (who.pronoun, f". Then {who.pronoun_inside} {clause}"),
                                (who.pronoun, f". {who.pronoun} {clause}")])
    question += said
    return question + f". How much {money}{who.does} {who.inside} have left?", \
        lines + [f"{answered(subject + ' ' + clause)}: {total} - {spent} = {total - spent}.",
                 f"{who.answered} {who.has} ${total - spent} left."], total - spent, [each, count, spent]
