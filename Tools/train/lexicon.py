"""Words of the generated problems: names with pronouns, things, foods, containers, places."""

NAMES = [(name, "She") for name in (
    "Anna Clara Ella Emma Grace Ida Julia Lena Lily Lucy Maria Mia Nina Nora Olivia Rosa Sara Sofia Zoe Amy"
).split()] + [(name, "He") for name in (
    "Adam Alex Ben Carl David Felix Finn Hugo Jack James Leo Liam Lukas Max Noah Oscar Paul Peter Sam Tom"
).split()]

THINGS = [tuple(pair.split("/")) for pair in (
    "pen/pens book/books marble/marbles card/cards stamp/stamps coin/coins shell/shells sticker/stickers "
    "button/buttons pencil/pencils toy/toys ball/balls flower/flowers stone/stones bead/beads"
).split()]

FOODS = [tuple(pair.split("/")) for pair in (
    "apple/apples cookie/cookies cake/cakes orange/oranges plum/plums egg/eggs candy/candies "
    "peach/peaches muffin/muffins carrot/carrots"
).split()]

CONTAINERS = [tuple(pair.split("/")) for pair in (
    "box/boxes bag/bags basket/baskets jar/jars tray/trays shelf/shelves"
).split()]

WORKPLACES = ["farm", "shop", "school", "library", "bakery"]
