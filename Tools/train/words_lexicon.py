"""Words of the generated problems: people, things, foods, containers, verbs, numbers."""

_FEMALE = """Anna Clara Ella Emma Grace Ida Julia Lena Lily Lucy Maria Mia Nina Nora Olivia Rosa Sara Sofia Zoe Amy Alice
Ava Bella Carla Chloe Dana Diana Elena Eva Fatima Fiona Hannah Helen Ines Irene Jane Jenny Kate Laura Leila Lisa Marta
Mary Maya Mei Monica Natasha Petra Priya Rachel Ruth Sally Susan Tina Vera Wendy Yuki Zara""".split()
_MALE = """Adam Alex Ben Carl David Felix Finn Hugo Jack James Leo Liam Lukas Max Noah Oscar Paul Peter Sam Tom Ahmed
Andrew Bob Bruno Chen Daniel Diego Eric Ethan Frank George Hassan Henry Ivan Jake Jim Joe John Jonas Karl Kevin Mark
Martin Matt Mike Nick Omar Pablo Rafael Ravi Robert Simon Stefan Tim Victor Will""".split()
_SHE = "The farmer/The teacher/Grandma/The baker/Mrs. Lee/Mrs. Brown/My sister/My mother/The girl".split("/")
_HE = "The gardener/The coach/Grandpa/The cook/Mr. Smith/Mr. Jones/My brother/My father/The boy".split("/")

# (subject, pronoun)
NAMES = [(name, "She") for name in _FEMALE] + [(name, "He") for name in _MALE]
OTHERS = [(name, "She") for name in _SHE] + [(name, "He") for name in _HE]


def _pairs(text: str) -> list[tuple[str, str]]:
    """`pen box/boxes` -> (singular, plural), with -s where only the singular stands."""
    return [tuple(word.split("/")) if "/" in word else (word, word + "s") for word in text.split()]


THINGS = _pairs("""pen book marble card stamp coin shell sticker button pencil toy ball flower stone bead brush/brushes balloon
candle crayon cup doll feather hat key lamp magnet mug notebook plate poster puzzle ribbon ring rose scarf/scarves shirt
sock spoon stick ticket tulip umbrella block brick chair crystal drawing envelope game glove helmet kite leaf/leaves
letter map mirror nail necklace painting photo pillow rope rock ruler seed table towel vase watch/watches token robot
badge blanket comic magazine postcard""")
FOODS = _pairs("""apple cookie cake orange plum egg candy/candies peach/peaches muffin carrot banana berry/berries
cherry/cherries grape lemon mango/mangoes melon nut onion pancake pear pie potato/potatoes sandwich/sandwiches sweet
tomato/tomatoes waffle biscuit chocolate cupcake donut fig bun roll pretzel""")
CONTAINERS = _pairs("box/boxes bag basket jar tray shelf/shelves bowl crate drawer packet bucket case row stack pile carton")
COLORS = "red blue green yellow white black big small old new".split()
ANIMALS = _pairs("bird duck fish/fish sheep/sheep cow goat cat dog horse rabbit frog bee butterfly/butterflies chicken pig")
PLACES = "box/bag/basket/jar/room/garden/shop/park/library/drawer/kitchen/barn/fridge/school/store".split("/")
WORKPLACES = "farm/shop/school/library/bakery/cafe/bank/garage/museum/hotel".split("/")
UNITS = ["meters", "feet", "centimeters", "yards"]

# (verb, third person, past), then what follows the number
GAINS = [((verb, third, past), tails.split("/")) for verb, third, past, tails in (line.split("|") for line in """buy|buys|bought|more/
find|finds|found|more/
get|gets|got|from {other}/more
receive|receives|received|from {other}/more
win|wins|won|more
make|makes|made|more
collect|collects|collected|more
pick|picks|picked|more/
add|adds|added|more
borrow|borrows|borrowed|from {other}""".splitlines())]
LOSSES = [((verb, third, past), tails.split("/")) for verb, third, past, tails in (line.split("|") for line in """give|gives|gave|to {other}/away/of them away/of them to {other}
sell|sells|sold|of them/
lose|loses|lost|of them/
break|breaks|broke|of them
use|uses|used|of them/
throw|throws|threw|of them away/away
lend|lends|lent|to {other}
donate|donates|donated|of them/
drop|drops|dropped|of them""".splitlines())]
EATS = (("eat", "eats", "ate"), ["of them", ""])

_WORDS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen twenty""".split()
NUMBER_WORDS = dict(enumerate(_WORDS))
TIMES_WORDS = {2: "twice", 3: "three times", 4: "four times", 5: "five times"}

_ONSETS = "b c d f g h j k l m n p r s t v w z br cl dr fl gr kl pl sh st th tr".split()
_VOWELS = "a e i o u ai ee oo".split()
_CODAS = ["", "", "", "n", "l", "r", "m", "k", "p", "t", "x", "ng"]


def invented(rng) -> str:
    """A pronounceable word that is in no list: what has to be copied cannot be known by heart."""
    return "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(rng.randint(1, 2))) \
        + rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS)
