"""Chats for adapting an instruction model to block decoding: questions made here, answers by the model itself.

    python data_chats.py --tessera ../../.build/release/tessera --model smollm2-135m.tsr --count 800 data/chats

Drafts are accepted where they agree with the model's own next tokens, so its own answers are the best text to
learn from, and no other source's licence applies. Writes train.jsonl and test.jsonl ({"messages"} a line), whose
questions differ.
"""
import argparse
import json
import os
import random
import subprocess
import sys

TOPICS = """the water cycle; photosynthesis; volcanoes; the moon; gravity; magnets; rainbows; earthquakes; the heart; sleep
vaccines; bees; whales; penguins; owls; ants; dinosaurs; fossils; deserts; rain forests; coral reefs; glaciers; rivers; bridges
windmills; steam engines; bicycles; sailing ships; trains; airplanes; telescopes; microscopes; clocks; maps; paper; printing
glass; bread; cheese; coffee; tea; chocolate; soap; cotton; silk; the compass; electricity; batteries; radio; computers; algorithms
databases; the internet; encryption; robots; solar panels; recycling; composting; gardening; pottery; painting; music; the violin
the piano; chess; football; swimming; running; hiking; camping; cooking; budgets; savings; teamwork; kindness; patience; honesty
clouds; thunder; snow; wind; the tides; the seasons; the sun; Mars; Saturn's rings; comets; black holes; galaxies; atoms; molecules
cells; DNA; bacteria; viruses; muscles; bones; the brain; the lungs; the eye; memory; dreams; vitamins; exercise; first aid; allergies
elephants; lions; wolves; dolphins; sharks; octopuses; butterflies; spiders; frogs; snakes; eagles; bats; horses; cats; dogs; sheep
oak trees; mushrooms; roses; wheat; rice; potatoes; tomatoes; apples; olive oil; honey; salt; sugar; pasta; soup; vinegar; yogurt
castles; pyramids; cathedrals; canals; tunnels; dams; lighthouses; harbors; markets; libraries; museums; theaters; schools; hospitals
democracy; elections; taxes; money; banks; trade; insurance; laws; courts; newspapers; photography; cinema; poetry; novels; fairy tales
drums; guitars; opera; dance; sculpture; architecture; embroidery; knitting; carpentry; cars; buses; submarines; rockets; satellites
drones; lasers; the telephone; email; spreadsheets; programming; passwords; statistics; geometry; fractions; prime numbers; logic
tennis; basketball; cycling; skiing; sailing; fishing; yoga; picnics; birthdays; weddings; holidays; friendship; courage; curiosity""".replace("\n", "; ").split("; ")
THINGS = """a lighthouse keeper; a lost dog; a curious child; an old clock; a brave mouse; a rainy day; a quiet village; a hidden garden
a train journey; a snowman; a paper boat; a talking tree; two friends; a night in the forest; a birthday; a broken bicycle""".replace("\n", "; ").split("; ")
COUNTRIES = """France; Italy; Spain; Portugal; Germany; Austria; Poland; Sweden; Norway; Finland; Denmark; Greece; Turkey; Egypt; Kenya
Japan; China; India; Thailand; Vietnam; Australia; Canada; Mexico; Brazil; Argentina; Chile; Peru; Cuba; Ireland; Iceland""".replace("\n", "; ").split("; ")
TEMPLATES = {
    "What is {}? Answer in two sentences.": TOPICS, "Explain {} to a ten-year-old.": TOPICS, "List three facts about {}.": TOPICS,
    "Why is {} important?": TOPICS, "Write a short paragraph about {}.": TOPICS, "Give me three questions a teacher could ask about {}.": TOPICS,
    "How would you describe {} to a friend?": TOPICS, "Write a very short story about {}.": THINGS, "Write a poem of four lines about {}.": THINGS,
    "What is the capital of {}?": COUNTRIES, "Name three things that {} is known for.": COUNTRIES,
    "Write a Python function that {}.": """adds two numbers; reverses a string; finds the largest number in a list; counts the words in a text
checks whether a number is even; computes a factorial; sorts a list; removes duplicates from a list; sums the digits of a number
converts Celsius to Fahrenheit; checks whether a word is a palindrome; returns the first n squares""".replace("\n", "; ").split("; "),
}


def questions(seed: int) -> list[str]:
    """All questions in an order drawn from `seed`."""
    result = [template.format(topic) for template, topics in TEMPLATES.items() for topic in topics]
    random.Random(seed).shuffle(result)
    return result


def answer(args, question: str) -> str | None:
    """The model's greedy answer, None where it does not come to an end."""
    done = subprocess.run(
        [args.tessera, "generate", args.model, "--chat", "-p", question, "-n", str(args.tokens), "--temperature", "0",
         "--block-size", "1", "--json"], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    result = json.loads(done.stdout)
    return result["text"] if result["stop_reason"] == "end_of_text" else None


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("out", help="folder for train.jsonl and test.jsonl")
    p.add_argument("--tessera", required=True)
    p.add_argument("--model", required=True)
    p.add_argument("--count", type=int, default=600, help="questions, the held-out ones included")
    p.add_argument("--test", type=int, default=60, help="of them held out")
    p.add_argument("--tokens", type=int, default=160, help="longest answer that is kept")
    p.add_argument("--seed", type=int, default=1)
    args = p.parse_args()
    os.makedirs(args.out, exist_ok=True)
    asked = questions(args.seed)[:args.count]
    for name, part in (("test", asked[:args.test]), ("train", asked[args.test:])):
        path = os.path.join(args.out, name + ".jsonl")
        with open(path + ".tmp", "w") as file:
            kept = 0
            for question in part:
                if (text := answer(args, question)) is None:
                    continue
                chat = [{"role": "user", "content": question}, {"role": "assistant", "content": text}]
                file.write(json.dumps({"messages": chat}) + "\n")
                kept += 1
        os.replace(path + ".tmp", path)
        print(f"{path}: {kept} chats of {len(part)} questions", file=sys.stderr)


if __name__ == "__main__":
    main()
