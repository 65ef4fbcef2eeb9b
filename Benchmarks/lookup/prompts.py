"""The prompts: texts to quote, files to edit, data to extract, and questions that are answered in free prose."""

PASSAGES = [
    "The harbour town of Linmouth lies where the river Lin meets the sea. Its lighthouse was built in 1823 by the engineer Thomas "
    "Ward, who had studied bridges in Italy. The tower is 31 metres high and has 164 steps. Until 1956 a keeper lived there with "
    "his family; today the light is automatic and the house is a small museum. In summer visitors climb the tower to see the islands.",
    "Bread needs four things: flour, water, salt and time. Mix the flour with the water and let it rest for half an hour before "
    "the salt goes in. Fold the dough every twenty minutes, four times in all. It is ready when it holds its shape and small "
    "bubbles show on its side. Bake it in a very hot oven, with steam for the first ten minutes, until the crust is dark brown.",
    "Glaciers are rivers of ice. Snow that does not melt is pressed together by the snow above it until it becomes ice, and the "
    "ice flows slowly down the valley under its own weight. Most glaciers move less than a metre a day. Where the valley floor is "
    "uneven, deep cracks open in the surface. At its lower end the ice melts and leaves behind the stones it has carried.",
    "The night train leaves Vienna at 21:48 and arrives in Zurich at 9:20 the next morning. It has two sleeping cars, four couchette "
    "cars and a dining car that serves breakfast from six o'clock. Bicycles can be taken along if they are booked in advance. "
    "Passengers who board in Salzburg should be at platform 4 by half past one, because the train stops for five minutes only.",
    "Honey bees tell each other where flowers are by dancing. A bee that has found food returns to the hive and runs in a straight "
    "line while shaking her body, then turns back and does it again. The angle of the line shows the direction of the food against "
    "the sun, and the length of the run shows how far away it is. Other bees follow her, learn the dance, and fly out.",
    "Keep this battery away from heat and never open it. Charge it only with the charger that came with it, at temperatures between "
    "5 and 40 degrees. A battery that is not used for more than three months should be stored half full in a dry place. If it "
    "swells, leaks or smells, stop using it at once and bring it to a collection point. Do not throw it into the household waste.",
    "The committee met on 12 March at ten o'clock. Ms Okafor, Mr Lindqvist and Dr Haddad were present; Mr Brown had sent his "
    "apologies. The minutes of the last meeting were approved without changes. Dr Haddad reported that the new roof will cost 48,500 "
    "crowns, which is 2,300 less than planned. The committee decided to order it before the end of April.",
    "An octopus has three hearts and blue blood. Two of the hearts pump blood through the gills, and the third pumps it through the "
    "rest of the body. When the animal swims, the third heart stops beating, which is why it prefers to crawl. Most of its nerve "
    "cells are in its arms, so that each arm can taste, touch and move without asking the brain first.",
    "To change a tyre, stop on firm, level ground and switch on the warning lights. Loosen the wheel nuts by half a turn before you "
    "lift the car. Place the jack under the mark behind the front wheel and lift until the tyre no longer touches the ground. Take off "
    "the nuts, change the wheel, and tighten the nuts crosswise. Lower the car and tighten them again after fifty kilometres.",
    "The library opens at nine on weekdays and at ten on Saturdays. Members may borrow twelve books for four weeks and four films for "
    "one week. Loans can be renewed twice unless somebody else is waiting. Each day that a book is late costs twenty cents. Lost books "
    "must be paid for. The reading room on the second floor is quiet, and food and drink are not allowed there.",
]

FILES = [
    ("rename the function total to sum_of_prices", '''def total(items):
    result = 0
    for item in items:
        result += item.price * item.count
    return result

def average(items):
    if not items:
        return 0
    return total(items) / len(items)

def report(items):
    for item in items:
        print(item.name, item.count, item.price)
    print("total:", total(items))
    print("average:", average(items))
'''),
    ("change the port from 8080 to 9090", '''[server]
host = "127.0.0.1"
port = 8080
workers = 4
timeout_seconds = 30

[database]
path = "/var/lib/shop/shop.db"
pool_size = 8
read_only = false

[logging]
level = "info"
file = "/var/log/shop/server.log"
rotate_megabytes = 64
keep_files = 5
'''),
    ("change the title to 'Garden tools'", '''<html>
<head>
<title>Kitchen tools</title>
<link rel="stylesheet" href="style.css">
</head>
<body>
<h1>Our shop</h1>
<ul>
<li><a href="spades.html">Spades</a></li>
<li><a href="rakes.html">Rakes</a></li>
<li><a href="hoses.html">Hoses</a></li>
</ul>
<p>Open from Monday to Friday, 9 to 17.</p>
</body>
</html>
'''),
    ("rename the variable count to seen", '''func words(_ text: String) -> [String: Int] {
    var count: [String: Int] = [:]
    for word in text.split(separator: " ") {
        let key = word.lowercased()
        count[key, default: 0] += 1
    }
    return count
}

func mostFrequent(_ text: String) -> String? {
    let all = words(text)
    return all.max { $0.value < $1.value }?.key
}
'''),
    ("add a column email of type TEXT to the table customers", '''CREATE TABLE customers (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    city TEXT,
    created_at TEXT NOT NULL
);

CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    customer_id INTEGER NOT NULL REFERENCES customers(id),
    amount_cents INTEGER NOT NULL,
    created_at TEXT NOT NULL
);

CREATE INDEX orders_by_customer ON orders(customer_id);
'''),
    ("replace 'make' by 'ninja'", '''#!/bin/sh
set -eu
folder=build
mkdir -p "$folder"
cd "$folder"
if [ ! -f CMakeCache.txt ]; then
    cmake .. -DCMAKE_BUILD_TYPE=Release
fi
make -j 4
make test
echo "built in $folder"
'''),
    ("make the timeout 60 instead of 10", '''const timeout = 10;
const retries = 3;

async function load(url) {
  for (let attempt = 1; attempt <= retries; attempt++) {
    try {
      const response = await fetch(url, { timeout: timeout * 1000 });
      if (response.ok) {
        return await response.json();
      }
      console.log("status", response.status);
    } catch (error) {
      console.log("attempt", attempt, "failed:", error);
    }
  }
  throw new Error("could not load " + url);
}
'''),
    ("write Colour instead of Color", '''struct Color {
    unsigned char red;
    unsigned char green;
    unsigned char blue;
};

struct Color mix(struct Color a, struct Color b) {
    struct Color result;
    result.red = (a.red + b.red) / 2;
    result.green = (a.green + b.green) / 2;
    result.blue = (a.blue + b.blue) / 2;
    return result;
}
'''),
    ("change the version to 2.1.0", '''{
  "name": "weather-station",
  "version": "2.0.3",
  "description": "Reads sensors and draws charts.",
  "main": "index.js",
  "scripts": {
    "start": "node index.js",
    "test": "node test.js",
    "lint": "eslint index.js test.js"
  },
  "dependencies": {
    "express": "4.18.2",
    "serialport": "12.0.0"
  }
}
'''),
    ("give the second task to Mina", '''# Plan for the summer fair

- Book the hall: Jonas, until 3 May
- Print the posters: Jonas, until 10 May
- Order chairs and tables: Priya, until 17 May
- Ask the bakery for cakes: Tomasz, until 24 May
- Test the loudspeakers: Priya, on the day before
- Bring the cash box: Tomasz, on the day itself

Everybody meets at the hall at eight in the morning.
'''),
]

_PEOPLE = [
    ("Ada", "Okafor", "Lagos", 34, "engineer"), ("Bruno", "Silva", "Porto", 51, "teacher"),
    ("Chen", "Wei", "Taipei", 27, "designer"), ("Dana", "Novak", "Brno", 45, "nurse"),
    ("Emil", "Larsen", "Aarhus", 39, "carpenter"), ("Farah", "Haddad", "Amman", 30, "chemist"),
    ("Goran", "Petrov", "Skopje", 62, "farmer"), ("Hana", "Suzuki", "Kobe", 24, "student"),
    ("Ivan", "Moreau", "Lyon", 58, "baker"), ("Jo", "Campbell", "Perth", 41, "pilot"),
]


def _records(first: int, count: int) -> str:
    """One JSON object per line."""
    lines = []
    for index in range(first, first + count):
        given, family, city, age, work = _PEOPLE[index % len(_PEOPLE)]
        lines.append(f'{{"id": {101 + index}, "first_name": "{given}", "last_name": "{family}", "city": "{city}", "age": {age}, '
                     f'"occupation": "{work}", "email": "{given.lower()}.{family.lower()}@example.org"}}')
    return "\n".join(lines)


def copying() -> list[tuple[str, str]]:
    """Kind and prompt: ten of each of three kinds."""
    result = [("quote", f"Repeat the following text exactly, word for word:\n\n{text}") for text in PASSAGES]
    result += [("edit", f"Here is a file:\n\n{text}\nPrint the whole file again, but {change}.") for change, text in FILES]
    result += [("extract", f"These are people, one JSON object per line:\n\n{_records(i, 4)}\n\nPrint the lines of "
                f"{_PEOPLE[(i + 1) % 10][0]}, {_PEOPLE[(i + 2) % 10][0]} and {_PEOPLE[(i + 3) % 10][0]} as they are.")
               for i in range(10)]
    return result


PROSE = [
    "Write a short story about a fox who learns to swim.", "Explain to a child why the sky is blue.",
    "Describe a rainy morning in a small village.", "What are the advantages of living in a city?",
    "Write a letter to a friend about your holiday.", "How does a bicycle stay upright?",
    "Give advice to someone who starts a new job.", "Tell me about the history of coffee.",
    "Why do people like music?", "Write a dialogue between a cat and a dog about dinner.",
    "What should one know before keeping bees?", "Describe how a sailing boat moves against the wind.",
]
