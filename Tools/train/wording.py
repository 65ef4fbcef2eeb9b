"""How the problems speak: people in any person and tense, numbers, and the habits of those who type."""
import re
from dataclasses import dataclass

import words_lexicon as lexicon

NEW_WORD = 0.06  # share of names and things that are invented


@dataclass(frozen=True)
class Who:
    """A person of a problem. The solution speaks to the one who asks: "I" becomes "You"."""
    name: str
    pronoun: str
    third: bool = True

    @property
    def inside(self) -> str:
        """The name within a sentence."""
        return self.name[0].lower() + self.name[1:] if self.name.split()[0] in ("The", "My") else self.name

    @property
    def pronoun_inside(self) -> str:
        """The pronoun within a sentence."""
        return "I" if self.name == "I" else self.pronoun.lower()

    @property
    def object(self) -> str:
        """The name after "than"."""
        return "me" if self.name == "I" else self.inside

    @property
    def both(self) -> str:
        """The pronoun of this person and another one."""
        return "we" if self.name == "I" else "they"

    @property
    def answered(self) -> str:
        """The subject of the solution's sentences."""
        return "You" if self.name == "I" else self.name.replace("My ", "Your ")

    @property
    def answered_inside(self) -> str:
        """That subject within a sentence."""
        return "you" if self.name == "I" else self.inside.replace("my ", "your ")

    @property
    def object_answered(self) -> str:
        """The name after "than" in the solution."""
        return "you" if self.name == "I" else self.inside

    def verb_answered(self, verb: str) -> str:
        """The verb, as it follows the solution's subject."""
        return verb if self.name == "I" else verb + "s"

    @property
    def does(self) -> str:
        return "does" if self.third else "do"

    @property
    def has(self) -> str:
        return "has" if self.third else "have"

    def verb(self, forms: tuple[str, str, str], past: bool) -> str:
        """The form of (infinitive, third person, past)."""
        return forms[2] if past else forms[1] if self.third else forms[0]


def person(rng, first: float = 0.12) -> Who:
    """Somebody: mostly a name, sometimes "the farmer", "I" or a name that nobody has."""
    draw = rng.random()
    if draw < first:
        return Who("I", "I", False)
    if draw < first + NEW_WORD:
        return Who(lexicon.invented(rng).capitalize(), rng.choice(["He", "She"]))
    return Who(*rng.choice(lexicon.OTHERS if draw > 0.93 else lexicon.NAMES))


def people(rng, first: float = 0.12) -> tuple[Who, Who]:
    """Two different persons; only the first may be "I"."""
    one = person(rng, first)
    while True:
        other = person(rng, 0)
        if other.name != one.name:
            return one, other


def thing(rng, food: bool | None = None) -> tuple[str, str]:
    """(singular, plural) of something countable; `food` true or false asks for a kind."""
    if food is None and rng.random() < NEW_WORD:
        word = lexicon.invented(rng)
        return word, word + "s"
    kinds = lexicon.FOODS if food else lexicon.THINGS if food is False else lexicon.THINGS + lexicon.FOODS
    one, many = rng.choice(kinds)
    if rng.random() < 0.08:
        color = rng.choice(lexicon.COLORS)
        return f"{color} {one}", f"{color} {many}"
    return one, many


def things(rng) -> tuple[tuple[str, str], tuple[str, str]]:
    """Two different things."""
    one = thing(rng)
    while True:
        other = thing(rng)
        if other != one:
            return one, other


def a(word: str) -> str:
    """The word with its article."""
    return ("an " if word[0] in "aeiou" else "a ") + word


def answered(sentence: str) -> str:
    """A sentence of the question as the solution repeats it: "I" becomes "you", and no full stop."""
    sentence = re.sub(r"^I\b", "You", sentence)
    sentence = re.sub(r"\bI\b", "you", sentence)
    sentence = re.sub(r"\bmy\b", "your", sentence)
    sentence = re.sub(r"\bMy\b", "Your", sentence)
    sentence = re.sub(r"\bme\b", "you", sentence)
    return sentence[0].upper() + sentence[1:].rstrip(".")


def typed(rng, question: str) -> str:
    """The question as people type: now and then numbers as words, no capitals, no question mark."""
    if rng.random() < 0.08:
        question = re.sub(r"(?<!\$)\b\d+\b", in_words, question)
        question = re.sub(r"(?<=[.?!] )[a-z]", lambda m: m.group().upper(), question)
        question = question[0].upper() + question[1:]
    if rng.random() < 0.05:
        question = question.lower()
    if rng.random() < 0.03:
        question = question.rstrip("?")
    return question


def in_words(match: re.Match) -> str:
    """A number up to twenty as a word, others as they stand."""
    return lexicon.NUMBER_WORDS.get(int(match.group()), match.group())
