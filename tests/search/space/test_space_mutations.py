"""A thousand damaged space files: each loads, or is refused with its place. Nothing else may come out."""

import random
import re
import string
from pathlib import Path

import pytest
import yaml

from lssat.errors import ConfigError
from search.space.file import load

SPACES = sorted((Path(__file__).resolve().parents[3] / "spaces").glob("*.yaml"))
MUTANTS = 1_000
LINE = re.compile(r"(?P<indent>\s*)(?P<key>[\w.]+):(?P<rest>.*)")
NUMBER = re.compile(r"(?<![\w.])\d+(\.\d+)?(e-?\d+)?(?![\w.])")
VALUES = [
    "0", "-1", "1.5", "1e400", "-1e400", ".inf", ".nan", "-.inf", "9" * 30, "9" * 5000, "0x" + "f" * 5000, "1e-320",
    "true", "null", "~", "''", "word", "[]", "{}", "[[1]]", "[{a: 1}]",
    "{low: 1, high: 0}", "{low: 0, high: 0}", "{low: 0, high: 1, log: on}", "{low: .nan, high: 1}",
    "{low: 1, high: .inf}", "{low: 1, high: 2, step: 0}", "{low: 1, high: 2, step: 0.3}", "{low: 1, high: 9e18}",
    "{low: 0.1, high: 0.9, step: 1e-12}", "{choices: []}", "{choices: 3}", "{choices: [1], when: 3}",
    "{choices: [1], when: {seed: []}}", "{choices: [1], when: {seed: [[1]]}}", "{when: {auxiliary: on}}",
    "2020-13-45", "2020-01-01", "!!bool x", "!!int ''", "!!timestamp x", "!!binary '\u00e9'",
    "!!python/object:os.system x", "!!set {a, b}", "190:20:30", "|\n  text", ">-", "&a [*a]", "*nowhere",
    "{<<: {a: 1}}", "{? [a]: 1}", "{1: 2}", "{on: off}", "{null: 1}", "[on, off]", "[vit, 1]", "'a\\0'", '"\\ud800"',
    "\u0000", "\u00e9\u4e2d", "0o17", "1_000",
]  # fmt: skip


def swap_values(text, rng):
    values = NUMBER.findall(text)
    return NUMBER.sub(lambda match: rng.choice(VALUES) if rng.random() < 0.1 else match[0], text) if values else text


def change_a_value(text, rng):
    return _line(text, rng, lambda match: f"{match['indent']}{match['key']}: {rng.choice(VALUES)}")


def empty_a_value(text, rng):
    return _line(text, rng, lambda match: f"{match['indent']}{match['key']}:")


def misspell_a_key(text, rng):
    def spelt(match):
        key, at = match["key"], rng.randrange(len(match["key"]))
        misspelt = rng.choice([key[:at] + key[at + 1 :], key[:at] + "x" + key[at:], key.upper(), "1", "null", "? [a]"])
        return f"{match['indent']}{misspelt}:{match['rest']}"

    return _line(text, rng, spelt)


def double_a_line(text, rng):
    lines = text.splitlines()
    lines.insert(rng.randrange(len(lines)), rng.choice(lines))
    return "\n".join(lines)


def indent_a_line(text, rng):
    return _line(text, rng, lambda match: rng.choice(["", "  ", "    ", "\t", " "]) + match[0].strip())


def delete_a_line(text, rng):
    lines = text.splitlines()
    del lines[rng.randrange(len(lines))]
    return "\n".join(lines)


def swap_a_word(text, rng):
    words = re.findall(r"[\w./]+", text)
    return text.replace(rng.choice(words), rng.choice(words), 1)


def reverse_ranges(text, rng):
    return (
        text.replace("low:", "LOW:").replace("high:", "low:").replace("LOW:", "high:")
        if rng.random() < 0.5
        else re.sub(r"low: [^,}]+", "low: 0", text)
    )


def edit_a_character(text, rng):
    at = rng.randrange(len(text))
    return text[:at] + rng.choice(string.printable + "\u0000\u00e9&*!|>%@`{}[]") + text[at + rng.randrange(2) :]


def delete_brackets(text, rng):
    at = rng.choice([match.start() for match in re.finditer(r"[\[\]{},:]", text)])
    return text[:at] + text[at + 1 :]


def cut(text, rng):
    return text[: rng.randrange(len(text))]


def add_an_anchor(text, rng):
    return (
        rng.choice(
            [
                "a: &a [1]\nb: &b [*a, *a]\n",
                "fixed: &x {self: *x}\n",
                "base: &base {optim.lr: 1}\n",
                "<<: {space: {seed: [1, 2]}}\n",
            ]
        )
        + text
    )


def grow_by_aliases(text, rng):
    return text + "\nx0: &x0 [1]\n" + "".join(f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 9)}]\n" for i in range(1, 12))


def nest_deeply(text, rng):
    return text + "\nextra: " + "[" * rng.choice([50, 600])


def rearrange(text, rng):
    """Move, copy, retype or delete a node of the parsed tree."""
    tree = yaml.safe_load(text)
    nodes = list(_nodes(tree))
    (owner, key), (other, place) = rng.choice(nodes), rng.choice(nodes)
    value = owner[key]
    rng.choice(
        [
            lambda: owner.__setitem__(key, other[place]),
            lambda: owner.__setitem__(key, [value]),
            lambda: owner.__setitem__(key, {str(place): value}),
            lambda: owner.__setitem__(key, str(value)),
            lambda: owner.pop(key),
            lambda: tree.__setitem__(rng.choice(["space", "fixed", "resources", "search", "data", "profiles"]), value),
            lambda: other.__setitem__(place, {"choices": [value], "when": {"auxiliary": [True]}}),
        ]
    )()
    return yaml.dump(tree)


def damage_bytes(text, rng):
    data = bytearray(text.encode())
    for _ in range(rng.randint(1, 4)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


MUTATIONS = [
    swap_values, change_a_value, change_a_value, change_a_value, empty_a_value, misspell_a_key, double_a_line,
    indent_a_line, delete_a_line, swap_a_word, swap_a_word, reverse_ranges, edit_a_character, delete_brackets, cut,
    add_an_anchor, grow_by_aliases, nest_deeply, rearrange, rearrange, rearrange, damage_bytes,
]  # fmt: skip


def _line(text, rng, change):
    lines = text.splitlines()
    keyed = [index for index, line in enumerate(lines) if LINE.fullmatch(line)]
    if keyed:
        at = rng.choice(keyed)
        lines[at] = change(LINE.fullmatch(lines[at]))
    return "\n".join(lines)


def _nodes(tree):
    for key in range(len(tree)) if isinstance(tree, list) else list(tree):
        yield tree, key
        if isinstance(tree[key], dict | list):
            yield from _nodes(tree[key])


def mutant(seed):
    """(profile, bytes) of a damaged file."""
    rng = random.Random(seed)
    text = rng.choice(SPACES).read_text()
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    first, second = rng.choice(MUTATIONS), rng.choice(MUTATIONS[:-1])
    if first is not rearrange and rng.random() < 0.3:  # which needs a readable file
        text = second(text, rng)
    damaged = first(text, rng)
    return rng.choice(["laptop", "gpu"]), damaged if isinstance(damaged, bytes) else damaged.encode(
        "utf-8", "surrogatepass"
    )


def refusal(path, seed):
    """The message; None where the file loads."""
    profile, data = mutant(seed)
    path.write_bytes(data)
    try:
        load(path, profile, {}, {})
    except ConfigError as error:
        return str(error)
    return None


def test_every_mutant_loads_or_is_refused_with_its_place(tmp_path):
    path = tmp_path / "mutant.yaml"
    messages = []
    for seed in range(MUTANTS):
        try:
            messages.append(refusal(path, seed))
        except Exception as error:
            pytest.fail(f"mutant {seed}: {type(error).__name__}: {error}")
    unplaced = {
        seed: message
        for seed, message in enumerate(messages)
        if message is not None and not re.search(r"mutant\.yaml:\d+", message)
    }
    assert not unplaced
    refused = sum(message is not None for message in messages)
    assert MUTANTS * 0.5 < refused < MUTANTS * 0.95, "the damage is neither total nor none"
    assert len({re.sub(r"[\d'`].*", "", message) for message in messages if message}) > 15
