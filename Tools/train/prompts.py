"""Prompts for a drafter's training data: many kinds, from templates and lists of words.

    python prompts.py --count 20 --seed 1            some prompts, one JSON object a line
    python prompts.py --held-out                     the 100 that training never sees: other templates, other topics

A prompt seldom repeats: it is drawn from a grammar with several slots. Everything here was written for this project.
"""
import argparse
import json
import random
import re

import data_math
from data_chats import COUNTRIES, TOPICS

# Topics and people of the held-out prompts.
HELD_TOPICS = TOPICS[::12]
OPEN_TOPICS = [topic for topic in TOPICS if topic not in HELD_TOPICS]


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.replace("\n", ";").split(";") if part.strip()]


WORDS = {
    "topic": OPEN_TOPICS,
    "country": COUNTRIES,
    "name": """Anna Ben Clara David Elena Farid Grace Hugo Ines Jonas Kira Liam Maya Nadia Omar Petra Quentin Rosa Samuel Tara
        Umar Vera Walter Yuki Zoe Marta Ivan Leila Tomas Priya""".split(),
    "job": _list("""nurse; carpenter; baker; teacher; pilot; farmer; librarian; photographer; chef; gardener; plumber; journalist; designer
        software developer; accountant; biologist; bus driver; musician; tailor; translator; architect; firefighter; lawyer; dentist"""),
    "city": _list("Paris; Oslo; Lima; Cairo; Kyoto; Lisbon; Boston; Nairobi; Prague; Toronto; Seoul; Vienna; Dublin; Madrid; Hanoi; Perth"),
    "place": _list("""the kitchen; a small office; the garden; the library; a train station; the beach; a mountain hut; the market; a school
        a hotel; the airport; a farm; a museum; the harbor; a workshop; the forest; a hospital; an old house; a theater; a village"""),
    "object": _list("""a key; a red umbrella; an old letter; a lamp; a suitcase; a map; a notebook; a bicycle; a violin; a camera; a silver ring
        a wooden box; a clock; a blue scarf; a mirror; a lantern; a compass; a broken cup; a kite; a puzzle"""),
    "food": _list("""lentil soup; tomato sauce; apple pie; fried rice; pancakes; a green salad; roast chicken; vegetable curry; bread rolls; omelettes
        mushroom risotto; banana bread; potato gratin; fish tacos; oatmeal; hummus; chocolate cake; noodle soup; stuffed peppers; lemonade"""),
    "feeling": _list("happy; nervous; proud; tired; lonely; curious; angry; hopeful; bored; grateful; surprised; confused; calm; excited"),
    "adjective": _list("quiet; brave; tiny; clumsy; clever; forgotten; golden; stubborn; gentle; lazy; mysterious; cheerful; lonely; honest; noisy"),
    "animal": _list("fox; owl; turtle; rabbit; bear; crow; mouse; whale; goat; cat; hedgehog; horse; frog; deer; otter; elephant; duck; wolf"),
    "product": _list("""a wireless keyboard; hiking boots; a coffee machine; a desk lamp; headphones; a backpack; a rain jacket; a bicycle helmet
        a toaster; a garden hose; a tent; running shoes; a water bottle; a cookbook; a board game; an electric kettle; a yoga mat"""),
    "event": _list("""a birthday party; a job interview; a wedding; a school trip; a team meeting; a concert; a move to another city; a camping weekend
        a book club evening; a charity run; a first day at work; a family dinner; a science fair; a long flight; a garden party"""),
    "skill": _list("""play the guitar; learn Spanish; bake bread; swim; draw portraits; write better emails; save money; run five kilometers; type faster
        speak in public; read more books; sleep better; cook at home; use a spreadsheet; program in Python; grow tomatoes; take photos"""),
    "problem": _list("""my laptop is slow; the Wi-Fi keeps dropping; my plants are dying; I cannot sleep; I forget names; my bread does not rise
        my bicycle chain squeaks; my back hurts after work; my cat scratches the sofa; I am always late; my phone battery drains quickly
        my neighbor is loud; I lose focus when studying; my shower is cold; my soup is too salty"""),
    "tone": _list("formal; friendly; short; polite; funny; persuasive; simple; cheerful; serious; enthusiastic"),
    "style": _list("a pirate; a news reporter; a poet; a tour guide; a strict teacher; a detective; a grandmother; a sports commentator; a robot"),
    "audience": _list("a child; a beginner; a busy manager; a student; an expert; my grandfather; a tourist; a new colleague"),
    "subject": _list("""biology; geography; chemistry; economics; music theory; astronomy; ancient history; grammar; computer networks; nutrition
        psychology; physics; art history; statistics; first aid; ecology; philosophy; personal finance"""),
    "language": _list("Python; Python; Python; JavaScript; C; Java; SQL; HTML; a shell script; Rust; Go"),
    "task": _list("""adds all even numbers in a list; reverses the words of a sentence; checks whether two strings are anagrams; finds the second largest number
        counts vowels in a string; merges two sorted lists; removes duplicates but keeps the order; computes the greatest common divisor
        converts a decimal number to binary; checks whether a number is prime; sorts a list of names by length; reads a file and counts its lines
        flattens a nested list; finds the longest word; computes the average of a list; rotates a list by k places; validates an email address
        generates the Fibonacci sequence; counts how often each letter occurs; finds all pairs that sum to a target; transposes a matrix
        replaces spaces with underscores; returns the day of the week for a date; checks balanced brackets; splits a list into chunks
        finds common elements of two lists; computes compound interest; converts Fahrenheit to Celsius; capitalizes each word
        finds the missing number from 1 to n; computes a running total; implements binary search; implements a stack; parses a CSV line
        prints a multiplication table; draws a triangle of stars; computes the distance between two points; simulates rolling two dice"""),
    "noun": _list("time; trust; water; silence; luck; change; hope; memory; freedom; rain; work; home; winter; light; music; failure; patience"),
    "verb": _list("walk; build; carry; sing; break; throw; teach; write; choose; forget; drive; grow; speak; begin; bring; fly"),
    "day": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split(),
    "month": "January March April May June July August October November December".split(),
    "small": [str(n) for n in range(2, 13)],
    "number": [str(n) for n in range(11, 999, 7)],
    "price": [f"{n}.{cents}" for n in range(3, 90, 4) for cents in ("00", "50", "99")],
    "hour": [f"{hour} {half}" for hour in range(1, 12) for half in ("am", "pm")],
    "century": _list("the 15th century; the 18th century; the 19th century; the 1920s; the 1960s; ancient Rome; ancient Egypt; the Middle Ages"),
}
# Sentences that texts to rewrite, sum up or search are made of.
SENTENCES = _list("""{name} bought {object} in {city} for {price} dollars
    On {day}, {name} met {name} at {place} to plan {event}
    The {job} lost {object} near {place} and looked for it until {hour}
    {name} wants to {skill} before {month}, but there is little time
    We has {small} meetings in {month} and {name} were late to all of them
    The {adjective} {animal} lived near {place} and was often {feeling}
    Our team sold {number} tickets for {event} last {month}
    {name}, a {job} from {city}, ordered {small} boxes of tea and {product}
    The store in {city} opens at {hour} and closes late on {day}
    {name} felt {feeling} because the train to {city} was cancelled
    {name} cooked {food} for {small} guests, and everyone asked for more
    The package with {product} weighs {small} kilograms and cost {price} dollars
    Last {day} the {job} told {name} a story about {topic}
    In {month} it rained for {small} days, so {event} took place indoors
    {name} lives in {city}, works as a {job} and likes {food}
    the meeting with {name} is moved to {day} at {hour} please bring {object}""")
# Kind of prompt -> templates. {text}: two to five such sentences.
TEMPLATES = {kind: _list(text) for kind, text in {
    "explain": """Explain {topic} to {audience}.; What is {topic} and why does it matter?; How does {topic} relate to {topic2}?
        Compare {topic} and {topic2}.; Describe the history of {topic} in {century}.; What are the main ideas of {subject}?
        What are the benefits and drawbacks of {topic}?; Give a short introduction to {subject} for {audience}.
        Why do people in {country} care about {topic}?; What should {audience} know about {topic}?; Who uses {topic} and how?
        What would happen if there were no {topic}?; In simple words, what is the connection between {topic} and {subject}?
        Tell me something surprising about {topic}.; What is the difference between {topic} and {topic2}?""",
    "list": """List {small} facts about {topic}.; Give me {small} tips to {skill}.; Name {small} things to pack for {event} in {country}.
        List {small} questions to ask a {job}.; Give {small} reasons to visit {country}.; Suggest {small} titles for a story about a {adjective} {animal}.
        What are {small} steps to {skill}?; Make a checklist for {event}.; List the pros and cons of being a {job}.
        Write {small} quiz questions about {subject} with answers.; Suggest {small} names for a shop that sells {product} and tea.
        Give {small} synonyms for the word "{adjective}" and use each in a sentence.""",
    "write": """Write a short story about a {adjective} {animal} and {object}.; Write a poem about {noun} and {noun2}.
        Write a {tone} email to {name} about {event} on {day}.; Describe {place} in {month} in the words of {style}.
        Write a dialogue between a {job} and a {animal} in {place}.; Write a review of {product} that is {tone}.
        Write a paragraph that begins with "On {day}, {name} found {object}".; Write a {tone} speech for {event}.
        Write a diary entry of a {job} in {city} who feels {feeling}.; Write an advertisement for {product} for {audience}.
        Write a letter from {name} to {name2} about moving to {city}.; Continue this story: {sentence}.
        Write a limerick about a {job} from {city}.; Write a fairy tale with a {animal}, a {animal2} and {object}.
        Write a news report about {event} in {city}.""",
    "advice": """I have a problem: {problem}. What can I do?; How can I {skill} in {small} weeks?; I feel {feeling} about {event}. Any advice?
        What should I cook if I have {food} left over from {day}?; How do I make {food} for {small} people?
        I want to become a {job}. Where do I start?; Plan a day in {city} for {audience}.; Help me prepare for {event} in {month}.
        My friend {name} is {feeling}. What should I say?; Is it better to {skill} alone or with others?
        Write a recipe for {food} with {small} ingredients.; Make a weekly plan so that I can {skill} and also {skill2}.""",
    "code": """Write {language} code that {task}.; Write a Python function that {task}.; Write a Python function that {task}, with a docstring and an example.
        Explain how a program that {task} works, step by step.; What does this code do?\\n\\ndef f(x):\\n    return [{small} * v for v in x if v > {number}]
        Write unit tests for a Python function that {task}.; How do I {verb} data between two programs in {language}?
        Fix this code:\\n\\ndef total(items):\\n    sum = 0\\n    for i in items\\n        sum =+ i * {small}\\n    return sum
        Write a Python class for a {job} with a name, a city and a method that {task}.; Show how to use a dictionary in Python to store prices of {product} and {product2}.
        Complete this function:\\n\\ndef {verb}_{noun}(values, limit={number}):\\n    \\"\\"\\"A function that {task}.\\"\\"\\"
        Translate this to {language}: for i in range({small}): print(i * {number})""",
    "rewrite": """Correct the grammar: {text}; Rewrite this in a {tone} tone: {text}; Make this text shorter: {text}
        Rewrite this as a list of points: {text}; Put this into the past tense: {text}; Rewrite this for {audience}: {text}
        Summarize in one sentence: {text}; Turn this into an email: {text}; Translate into Spanish: {sentence}.; Translate into French: {sentence}.
        Rewrite the text and replace {name} by {name2}: {text}; Give this text a title: {text}""",
    "extract": """Who is named in this text? {text}; Extract all names, places and numbers as JSON: {text}
        Answer from the text: where does it take place? {text}; List all objects in this text: {text}
        What day is mentioned here? {text}; Make a table with the persons and what they do: {text}
        Is this text {feeling} or {feeling2}? Explain. {text}; Classify this sentence as work, travel, food or other: {sentence}.
        Which of these is an animal: {object}, {animal}, {food}?; Repeat this text word by word: {text}""",
    "numbers": """What is {number} + {number2}?; What is {number} - {small}?; What is {small} times {small2}? Explain step by step.
        If {product} costs {price} dollars, how much do {small} cost?; A train leaves {city} at {hour} and travels for {small} hours. When does it arrive?
        Round {price} to a whole number.; What is {small} percent of {number}?; Sort these numbers: {number}, {number2}, {small}, {price}.
        {name} has {number} marbles and gives {small} to {name2}. How many are left?; Convert {number} minutes to hours.
        How many days are in {small} weeks and {small2} days?; {problem_text}""",
    "facts": """What is the capital of {country}?; Which language is spoken in {country}?; What is {country} known for?
        Which continent is {country} on and who are its neighbors?; What does a {job} do all day?; Where do {animal}s live and what do they eat?
        What is the past tense of "{verb}"? Use it in a sentence.; Define "{noun}" in one sentence.; What is the opposite of "{adjective}"?
        When is the best month to visit {city}?; Describe a typical meal in {country}.; How was {topic} different in {century}?""",
}.items()}
SHARES = {"explain": 4, "list": 3, "write": 4, "advice": 3, "code": 4, "rewrite": 3, "extract": 2, "numbers": 2, "facts": 1}
SYSTEMS = _list("""You are a helpful assistant.; Answer in one paragraph.; You are {style}.; Answer briefly.; You are an expert in {subject}.
    You help {audience}.; Use simple words.""")
HELD_TEMPLATES = _list("""Teach me the basics of {topic} in a few paragraphs.; Could you tell me what experts disagree on about {topic}?
    Draft a toast that mentions {topic} for a friend's farewell.; I have to give a talk on {topic}. Outline it.
    Which myths exist about {topic}?; Imagine {topic} a hundred years from now and describe it.
    Create a small Python script about {topic} with two functions.; Write interview questions and answers with somebody who knows {topic}.
    Compose a song verse on {topic}.; What vocabulary does one need to talk about {topic}? Define five words.
    Pretend that you sell {topic} and convince me.; Sum up the essentials of {topic} in a table.""")


def _fill(rng: random.Random, template: str) -> str:
    def slot(match: re.Match) -> str:
        name = match.group(1)
        if name == "text":
            return " ".join(_fill(rng, rng.choice(SENTENCES)) + "." for _ in range(rng.randint(2, 5)))
        if name == "sentence":
            return _fill(rng, rng.choice(SENTENCES))
        if name == "problem_text":
            return data_math.generate(rng, small_talk=0, free=True).question
        return rng.choice(WORDS[name.rstrip("2")])
    return re.sub(r"\{(\w+)\}", slot, template)


def prompt(rng: random.Random) -> dict:
    """One request of a batch file: `kind`, `prompt`, and of one in eight a `system` message."""
    kind = rng.choices(list(SHARES), weights=list(SHARES.values()))[0]
    text = _fill(rng, rng.choice(TEMPLATES[kind])).replace("\\n", "\n").replace('\\"', '"')
    if rng.random() < 0.1:
        text = text[0].lower() + text[1:].rstrip(".?")
    made = {"kind": kind, "prompt": text}
    if rng.random() < 0.125:
        made["system"] = _fill(rng, rng.choice(SYSTEMS))
    return made


def held_out(count: int = 100) -> list[dict]:
    """Requests of other templates and topics than training's; always the same."""
    rng = random.Random(20260)
    made = [{"kind": "held-out", "prompt": template.replace("{topic}", topic)}
            for template in HELD_TEMPLATES for topic in HELD_TOPICS]
    rng.shuffle(made)
    return made[:count]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--held-out", action="store_true")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    for made in held_out() if args.held_out else (prompt(rng) for _ in range(args.count)):
        print(json.dumps(made))


if __name__ == "__main__":
    main()
