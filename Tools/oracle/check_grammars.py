"""Holds constrained output against Python's jsonschema: random schemas, a model that draws at a high temperature.

    check_grammars.py [PROGRAM]     default: .build/debug/tessera, with the model that comes with it
"""

import datetime
import json
import os
import random
import subprocess
import sys
import tempfile

import jsonschema

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
FORMATS = {"date", "date-time", "time", "ipv4", "uuid", "email"}
CHECKER = jsonschema.FormatChecker(["date", "ipv4", "uuid", "email"])
CHECKER.checks("time", ValueError)(
    lambda value: not isinstance(value, str) or datetime.time.fromisoformat(value))
CHECKER.checks("date-time", ValueError)(
    lambda value: not isinstance(value, str) or datetime.datetime.fromisoformat(value))


def make(dice, depth=0):
    """A random schema that the program supports."""
    kinds = ["integer", "number", "string", "enum", "types", "ref", "format", "pattern"]
    kind = dice.choice(kinds + ["array", "tuple", "object", "object", "anyOf", "allOf", "oneOf"] * (depth < 3))
    if kind == "integer":
        least = dice.randint(-2000, 2000)
        return {"type": "integer", "minimum": least, "exclusiveMaximum": least + dice.randint(1, 5000)}
    if kind == "number":
        return {"type": "number", "exclusiveMinimum": dice.randint(-5, 0), "maximum": dice.randint(1, 40)}
    if kind == "string":
        least = dice.randint(0, 5)
        return {"type": "string", "minLength": least, "maxLength": least + dice.randint(0, 20)}
    if kind == "enum":
        return {"enum": dice.sample(["a", "ab", "\"\n", 1, 2.5, None, True, [1, "x"], {"k": None}], dice.randint(1, 4))}
    if kind == "types":
        return {"type": dice.sample(["null", "boolean", "integer", "string"], 2), "maxLength": 8}
    if kind == "ref":
        return {"$ref": "#/$defs/node"}
    if kind == "format":
        return {"type": "string", "format": dice.choice(sorted(FORMATS))}
    if kind == "pattern":
        return {"type": "string", "pattern": dice.choice([
            r"^[A-Z]{2,4}-\d{3}$", r"^(?:red|green \w|[^\d]{2})+$", r"x\.y|^z", r"^\s?\S*$", "^\"\\\\[a-f-]?$"])}
    if kind == "array":
        least = dice.randint(0, 2)
        return {"type": "array", "items": make(dice, depth + 1), "minItems": least, "maxItems": least + dice.randint(0, 2)}
    if kind == "tuple":
        return {"type": "array", "prefixItems": [make(dice, depth + 1), make(dice, depth + 1)],
                "items": dice.choice([False, {"type": "null"}]), "minItems": dice.randint(0, 2), "maxItems": 4}
    if kind == "anyOf":
        return {"anyOf": [make(dice, depth + 1) for _ in range(2)], "title": "either"}
    if kind == "oneOf":
        return {"oneOf": [{"type": "object", "properties": {"kind": {"const": name}, "value": make(dice, depth + 1)},
                           "required": ["kind"]} for name in ("first", "second")]}
    properties = {name: make(dice, depth + 1) for name in dice.sample(["name", "n", "é", "a\"b", "long name"], dice.randint(0, 3))}
    schema = {"type": "object", "properties": properties,
              "required": [name for name in properties if dice.random() < 0.6]}
    if kind == "allOf":
        return {"allOf": [schema, {"properties": {"further": {"type": "boolean"}}, "required": ["further"]}]}
    further = dice.choice([None, False, {"type": "integer"}])
    return schema if further is None else {**schema, "additionalProperties": further}


def main():
    program = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, ".build/debug/tessera")
    dice = random.Random(5)
    schemas = []
    while len(schemas) < 120:
        schema = {**make(dice), "$defs": {"node": {
            "type": "object", "properties": {"value": {"type": "integer", "maximum": 9}, "next": {
                "anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}, "required": ["value", "next"]}}}
        jsonschema.Draft202012Validator.check_schema(schema)
        schemas.append(schema)
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as lines:
        for index, schema in enumerate(schemas):
            lines.write(json.dumps({"prompt": "Write JSON.", "json_schema": schema, "seed": index,
                                    "temperature": [0, 1, 20][index % 3], "max_tokens": 250}) + "\n")
        lines.flush()
        output = subprocess.run([program, "generate", "--batch", lines.name], capture_output=True, text=True, check=False)
    answers = [json.loads(line) for line in output.stdout.splitlines()]
    assert len(answers) == len(schemas), output.stderr
    ended = 0
    for schema, answer in zip(schemas, answers):
        assert "error" not in answer, (answer["error"], schema)
        if answer["stop_reason"] != "end_of_text":
            assert answer["stop_reason"] == "length", answer
            continue
        ended += 1
        try:
            value = json.loads(answer["text"])
            jsonschema.Draft202012Validator(schema, format_checker=CHECKER).validate(value)
        except (ValueError, jsonschema.ValidationError) as error:
            raise SystemExit(f"check_grammars: {error}\n{answer['text']}\n{json.dumps(schema)}") from None
    assert ended > len(schemas) // 2, ended
    print(f"{ended} of {len(schemas)} texts ended, all of them valid; the others were cut at their length")


if __name__ == "__main__":
    main()
