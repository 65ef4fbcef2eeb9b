/// The text for calibration if the user names none. It has passages of several kinds, so that each matrix sees inputs like
/// those of later use. The kinds alternate, so that the beginning of the text has all of them too.
public enum CalibrationText {
    public enum Passage: Sendable {
        case text(String)
        /// Messages of a user and the answers, in turn; written in the model's own chat template where it has one.
        case dialogue([String])
    }

    /// Changes whenever the text does.
    public static let name = "built-in 1"

    public static let passages: [Passage] = [
        .text(harbour), .dialogue(bread), .text(parser), .text(fractions), .text(german),
        .dialogue(travel), .text(chinese), .text(glaciers), .dialogue(loops), .text(french),
        .text(speed), .text(russian), .text(letter), .text(query), .dialogue(sleep),
        .text(spanish), .text(japanese), .text(election), .dialogue(primes), .text(settings),
    ]

    static let harbour = """
        The ferry was late again. Marta stood at the end of the pier with her collar turned up and counted the \
        lights on the far shore, as her father had taught her to do when there was nothing else to be done. Eleven \
        of them burned steadily; the twelfth, above the boatyard, went on and off as though somebody were still \
        deciding whether to go home. "You'll miss the last bus," said the man who sold the tickets. He had shut his \
        window an hour ago, but he had not left either. "I know," she said. "I'll walk if I have to." He laughed, \
        not unkindly. "It is nine miles, and it is going to snow."

        She thought about the letter in her pocket. It had been written in a hurry, on the back of a bill for \
        paint, and half of it could not be read. What could be read was simple enough: the house had been sold, the \
        dog was with the neighbours, and if she wanted anything from the attic she had better come before Friday. \
        Today was Thursday. She had not slept in that house for seventeen years, and yet she could have drawn every \
        stair of it, including the fourth, which complained when you stepped on its left side.

        When the ferry came at last it made no sound at all until it was almost upon them. The rope flew, was \
        caught, and pulled tight. Three people got off, none of whom she knew, and a boy carried a cage with two \
        grey pigeons past her as carefully as if it held a lamp.

        """

    static let bread = [
        "My bread comes out dense and a bit sour. What am I doing wrong?",
        """
        Dense bread usually means that the dough did not rise enough, and a sour taste that it rose for too long at \
        a warm place or that the starter was old. Try these steps, one at a time:

        1. Check that your yeast is alive: stir it into warm water with a pinch of sugar. It should foam within ten \
        minutes.
        2. Knead until the dough stretches without tearing, about ten minutes by hand.
        3. Let it rise until it has doubled, then shape it and let it rise again for half an hour.
        4. Bake it hot, at 230 °C, with some steam for the first fifteen minutes.

        If it is still dense, use a little more water: 70 g for every 100 g of flour is a good start.
        """,
        "How do I know when it's done?",
        """
        Tap the bottom: it should sound hollow. If you have a thermometer, the middle should be at about 96 °C. Let \
        it cool on a rack for at least an hour before you cut it, or the crumb will be gummy.
        """,
    ]

    static let parser = """
        from dataclasses import dataclass, field


        @dataclass
        class Node:
            \"\"\"A section of an outline: its title, its depth, and the sections below it.\"\"\"
            title: str
            depth: int
            children: list["Node"] = field(default_factory=list)

            def walk(self):
                yield self
                for child in self.children:
                    yield from child.walk()


        def parse_outline(lines):
            root = Node("", 0)
            path = [root]
            for number, line in enumerate(lines, start=1):
                if not line.startswith("#"):
                    continue
                depth = len(line) - len(line.lstrip("#"))
                if depth > path[-1].depth + 1:
                    raise ValueError(f"line {number}: a level is missing before {line.strip()!r}")
                while path[-1].depth >= depth:
                    path.pop()
                node = Node(line[depth:].strip(), depth)
                path[-1].children.append(node)
                path.append(node)
            return root


        if __name__ == "__main__":
            import sys
            for node in parse_outline(sys.stdin).walk():
                print("  " * max(0, node.depth - 1) + node.title)

        """

    static let fractions = """
        Problem. A tank is filled by one pipe in 6 hours and by another in 4 hours. How long do both take together, \
        and how much of the tank does the slower pipe fill?

        Solution. In one hour the first pipe fills 1/6 of the tank and the second 1/4. Together they fill \
        1/6 + 1/4 = 2/12 + 3/12 = 5/12 in an hour, so they need 12/5 = 2.4 hours, or 2 hours and 24 minutes. In that \
        time the slower pipe fills 2.4/6 = 0.4 of the tank, that is 40 %. Check: the faster one fills 2.4/4 = 0.6, \
        and 0.4 + 0.6 = 1.

        Problem. Let f(x) = x^3 - 3x + 1. Where is f increasing? We have f'(x) = 3x^2 - 3 = 3(x - 1)(x + 1). The \
        derivative is positive for x < -1 and for x > 1, and negative between. So f rises up to f(-1) = 3, falls to \
        f(1) = -1, and rises again; it has three real zeros.

        """

    static let german = """
        Am Abend saßen wir noch lange in der Küche. Der Regen hatte aufgehört, und durch das offene Fenster roch es \
        nach nasser Erde. Großvater erzählte, wie er als junger Mann mit dem Fahrrad bis ans Meer gefahren war, ohne \
        Karte und beinahe ohne Geld. „Man findet immer jemanden, der einem den Weg zeigt“, sagte er, „vorausgesetzt, \
        man fragt freundlich.“ Niemand glaubte ihm die Geschichte mit dem Bären, aber alle wollten sie hören.

        """

    static let travel = [
        "I have two days in Lisbon next month. Any ideas?",
        """
        Two days are enough for a good first look. On the first morning walk through Alfama up to the castle while \
        it is still cool, then take the old tram down to the river. Spend the afternoon in Belém: the monastery, the \
        tower, and a custard tart while it is warm. On the second day take an early train to Sintra, about 40 \
        minutes away; book the palace ahead, because the queue is long. In the evening go back to the viewpoint at \
        Graça for the sunset.
        """,
        "Is it expensive? And do I need to speak Portuguese?",
        """
        It is moderate by European standards. A simple lunch costs around 12 euros, a day ticket for trams and \
        buses about 7. You will get by with English nearly everywhere, but people are pleased by a "bom dia" and an \
        "obrigado" or "obrigada".
        """,
    ]

    static let chinese = """
        去年冬天，我第一次去北方旅行。火车开了一整夜，早上醒来的时候，窗外全是白色的田野。同车的一位老人告诉我，他每年都坐这趟车回家过年，\
        已经三十多年了。“路没有变，”他说，“只是火车越来越快。”下车以后，天气比我想象的还要冷，可是空气很干净，街上的人都笑着打招呼。

        """

    static let glaciers = """
        A glacier forms where more snow falls in winter than melts in summer. Over decades the lower layers are \
        pressed into ice, and once the ice is about thirty metres thick it begins to flow under its own weight, a \
        few centimetres to several metres a day. The upper part, which is brittle, breaks into crevasses; the lower \
        part deforms without breaking. Glaciers carry rock of every size with them, from flour so fine that it \
        turns lakes turquoise to boulders as large as houses, and drop it where they melt. Such ridges, called \
        moraines, show how far the ice once reached. About two thirds of the fresh water on Earth is stored in this \
        way, most of it in Antarctica and Greenland. Because ice reflects sunlight and dark ground absorbs it, a \
        shrinking glacier speeds up the warming around it, an example of positive feedback.

        """
}
