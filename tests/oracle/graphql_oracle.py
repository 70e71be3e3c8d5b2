#!/usr/bin/python3
"""Weir's count of root fields against graphql-core's.

Makes documents from a seed, breaks some of them, and gives all to Weir (graphql_analyse.cpp) and to graphql-core. What
must hold of each document:

* Weir refuses it, or finds the fields that graphql-core's AST has at the root of the operation that runs, as CollectFields
  collects them with each directive taken as present, and its depth and aliases. So nothing that executes is uncounted.
* What graphql-core parses and a server would go on to execute, Weir accepts; STRICTER lists the exceptions.
* What Weir accepts graphql-core parses; NEWER lists what its edition of the specification does not have.

Usage: graphql_oracle.py PROGRAM [--seed N] [--documents N]
"""
import argparse
import json
import random
import re
import subprocess
import sys
from collections import Counter

from graphql import GraphQLError
from graphql.language.parser import parse

KEYWORDS = {"query", "mutation", "subscription"}
NAMES = ["a", "b", "login", "user", "on", "query", "fragment", "true", "type", "__typename", "_x1"]
FRAGMENTS = ["F", "G", "H", "K", "query"]
BREAKERS = ['"', '""', '"""', '\n"""\n', '\\"""', "\\", "#", "\n", "\r", "\r\n", "\ufeff", "\u2028", ",", "{", "}", "(", ")", "[", "]",
            ":", "$", "@", "!", "...", "..", "on", "fragment", "query", "\\u0041", "\\u{41}", "\\uD800", "\\uD83D\\uDE00",
            "0", "-", "1e", "01", "\x00", "\x0b", "\u00a0", "\u00e9", "\U0001f600", "|", "&", "%", "type Q { a: Int }", "{a}",
            '"{a}"', "# } mutation { b", "...F", "x: a", "query Q2 { a b }", "extend"]

# Weir's reason, and why it may refuse what graphql-core takes.
STRICTER = {
    "surrogate": "an unpaired surrogate in an escape, an error since October 2021",
    "behind the number": "a name right behind a number, an error since October 2021",
    "ends a comment": "U+2028 or U+2029 in a comment: other readers end it there",
    "first line of a block string": "a quotation mark there: readers without block strings see another document",
    "a character of the": "a control character in a string or comment",
    "the text of a comment": "a control character in a string or comment",
}


class Maker:
    """A random document; small, so that fragments, names and keys collide often."""

    def __init__(self, rng):
        self.rng = rng
        self.modern = self.chance(.25)  # with what graphql-core 2 does not have

    def chance(self, probability):
        return self.rng.random() < probability

    def some(self, make, most, join=" "):
        return join.join(make() for _ in range(self.rng.randint(1, most)))

    def gap(self):
        return self.rng.choice([" ", " ", " ", "\n", "\r\n", ",", "\t", "\r", " # text\n", " #} { \"\r", "\ufeff "])

    def name(self):
        return self.rng.choice(NAMES)

    def value(self, constant, depth=0):
        kind = self.rng.randrange(10 if depth < 3 else 7)
        if kind == 0 and not constant:
            return "$" + self.name()
        if kind <= 1:
            return self.rng.choice(["0", "-1", "23", "1.5", "-0.1e+3", "2E5"])
        if kind <= 4:
            strings = ['""', '"x"', '"{ a }"', '"#"', '"\\"} b {"', '"\\u0022 \\\\"', '"\\uD83D\\uDE00"', '"\u00e9\U0001f600"']
            if self.modern:
                strings += ['"\\u{1F600}"', '"""x"""', '"""\n } b { "\n \\""" # """', '""""""']
            return self.rng.choice(strings)
        if kind <= 6:
            return self.rng.choice(["true", "false", "ENUM", "on"] + ["null"] * self.modern)
        if kind == 7:
            return "[" + ("" if self.chance(.2) else self.some(lambda: self.value(constant, depth + 1), 3)) + "]"
        return "{" + ("" if self.chance(.2) else self.some(
            lambda: self.name() + ":" + self.value(constant, depth + 1), 2, ",")) + "}"

    def arguments(self, constant=False):
        return "(" + self.some(lambda: self.name() + ": " + self.value(constant), 2) + ")"

    def directives(self, constant=False):
        if self.chance(.8):
            return ""
        return " @" + self.rng.choice(["skip(if: true)", "include(if: false)", "d", "d" + self.arguments(constant)])

    def selection(self, depth):
        kind = self.rng.randrange(10)
        if kind < 2:
            return "..." + self.rng.choice(FRAGMENTS) + self.directives()
        if kind == 2 and depth < 5:
            condition = self.rng.choice(["", " on Query", " on on"])
            return "..." + condition + self.directives() + self.selections(depth + 1)
        alias = self.rng.choice(["x", "y", "a"]) + self.rng.choice([":", " : "]) if self.chance(.3) else ""
        arguments = self.arguments() if self.chance(.2) else ""
        deeper = self.selections(depth + 1) if depth < 5 and self.chance(.25) else ""
        return alias + self.name() + arguments + self.directives() + deeper

    def selections(self, depth=0):
        return "{" + self.gap() + self.some(lambda: self.selection(depth), 4, self.gap()) + self.gap() + "}"

    def variables(self):
        def one():
            described = '"text" ' if self.modern and self.chance(.1) else ""
            kind = self.rng.choice(["Int", "[Int!]!", "ID!", "[[T]]"])
            default = " = " + self.value(True) if self.chance(.4) else ""
            return described + "$" + self.name() + ": " + kind + default + (self.directives(True) if self.modern else "")
        return "(" + self.some(one, 2) + ")"

    def document(self):
        rng = self.rng
        operations = 0 if self.chance(.02) else 1 if self.chance(.7) else rng.randint(2, 3)
        parts = []
        for name in (rng.sample("ABC", operations) if self.chance(.95) else rng.choices("ABC", k=operations)):
            described = rng.choice(['"text"\n', '"""text"""']) if self.modern and self.chance(.1) else ""
            head = rng.choice(["query", "query", "mutation", "subscription"])
            if operations > 1 and self.chance(.97) or self.chance(.5):
                parts.append(described + head + " " + name + (self.variables() if self.chance(.3) else "") + self.directives()
                             + self.selections())
            else:
                parts.append(rng.choice(["", "", head + self.directives()]) + self.selections())
        text = self.gap().join(parts)
        defined = set()
        wanted = {n for n in FRAGMENTS if "..." + n in text}
        while wanted - defined and len(defined) < 5:
            fragment = min(wanted - defined)
            defined.add(fragment)
            # A fragment spreads later ones, so that most documents have no cycle.
            body = self.selections()
            if self.chance(.95):
                later = FRAGMENTS[FRAGMENTS.index(fragment) + 1:]
                body = re.sub(r"\.\.\.(F|G|H|K|query)\b", lambda _: "..." + rng.choice(later) if later else "a", body)
            wanted |= {n for n in FRAGMENTS if "..." + n in body}
            if self.chance(.98):
                parts.append("fragment " + fragment + " on Query" + self.directives() + body)
        rng.shuffle(parts)
        return self.gap().join(parts)

    def broken(self, text):
        for _ in range(self.rng.choice([1, 1, 1, 2, 4])):
            at = self.rng.randint(0, len(text))
            to = min(len(text), at + self.rng.choice([0, 0, 1, 1, 2, 8, 30]))
            how = self.rng.randrange(4)
            if how == 0:
                text = text[:at] + text[to:]
            elif how == 1:
                text = text[:at] + text[at:to] + text[at:]
            else:
                text = text[:at] + self.rng.choice(BREAKERS) + text[to if how == 3 else at:]
        return text


def kind_of(node):
    return type(node).__name__.removesuffix("Node")


class Reference:
    """What graphql-core's AST says, without a schema."""

    def __init__(self, document, name):
        self.fragments = {}
        self.sound = True  # a server goes on to execute it
        self.operation = None
        operations = []
        for node in document.definitions:
            kind = kind_of(node)
            if kind == "OperationDefinition":
                operations.append(node)
            elif kind == "FragmentDefinition":
                self.sound = self.sound and node.name.value not in self.fragments
                self.fragments.setdefault(node.name.value, node)
            else:
                self.sound = False
        names = [node.name.value if node.name else None for node in operations]
        if len(set(names)) != len(names) or (None in names and len(names) > 1):
            self.sound = False
        chosen = operations if not name else [o for o, n in zip(operations, names) if n == name]
        if len(chosen) == 1 or (name and chosen):
            self.operation = chosen[0]

    @property
    def type(self):
        return getattr(self.operation.operation, "value", self.operation.operation)

    def root_fields(self):
        keys = set()
        visited = set()

        def collect(selection_set):
            for node in selection_set.selections:
                kind = kind_of(node)
                if kind == "Field":
                    keys.add((node.name.value, (node.alias or node.name).value))
                elif kind == "InlineFragment":
                    collect(node.selection_set)
                elif node.name.value not in visited:
                    visited.add(node.name.value)
                    if node.name.value in self.fragments:
                        collect(self.fragments[node.name.value].selection_set)
        collect(self.operation.selection_set)
        return dict(Counter(name for name, _ in keys))

    def measure(self):
        """Depth and aliases, spreads followed each time; None when a fragment is unknown or spreads itself."""
        def of(selection_set, open_fragments):
            depth = aliases = 0
            for node in selection_set.selections:
                kind = kind_of(node)
                inner, extra, now_open = node.selection_set if kind != "FragmentSpread" else None, 0, open_fragments
                if kind == "Field":
                    extra = 1
                    aliases += node.alias is not None
                elif kind == "FragmentSpread":
                    name = node.name.value
                    if name in open_fragments or name not in self.fragments:
                        raise LookupError(name)
                    inner, now_open = self.fragments[name].selection_set, open_fragments | {name}
                below = of(inner, now_open) if inner else (0, 0)
                depth = max(depth, extra + below[0])
                aliases += below[1]
            return depth, aliases
        try:
            return of(self.operation.selection_set, frozenset())
        except LookupError:
            return None


def newer(text, error):
    """True for what Weir accepts and an older graphql-core does not know."""
    if '"""' in text or "\\u{" in text:
        return True  # block strings: June 2018; \u{}: October 2021
    message = str(error)
    # Null: October 2016. Directives on variables: June 2018. Descriptions: September 2025.
    return bool(re.search(r"Unexpected Name \"null\"|Expected \$, found (@|String)|Unexpected String", message))


def check(text, name, answer, tally):
    """A complaint, or None."""
    error = None
    try:
        reference = Reference(parse(text), name)
    except GraphQLError as caught:
        error = caught
    except ValueError as caught:  # graphql-core 2 lets chr() fail
        error = caught
    if error is not None:
        if not answer["accepted"]:
            tally["refused by both"] += 1
        elif newer(text, error):
            tally["newer than graphql-core"] += 1
        else:
            return f"Weir accepts what graphql-core does not parse: {error}"
        return None
    if answer["accepted"]:
        if reference.operation is None:
            return "Weir picks an operation where there is none, or several"
        measured = reference.measure()
        expected = (reference.type, reference.root_fields(), measured)
        found = (answer["type"], answer["fields"], (answer["depth"], answer["aliases"]))
        if expected != found:
            return f"graphql-core has {expected}, Weir has {found}"
        tally["accepted by both"] += 1
        return None
    if reference.operation is None or not reference.sound or reference.measure() is None:
        tally["parsed, and not valid"] += 1
        return None
    for reason in STRICTER:
        if reason in answer["message"]:
            tally["stricter: " + reason] += 1
            return None
    return f"Weir refuses what graphql-core accepts: {answer}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--documents", type=int, default=4000)
    options = parser.parse_args()

    cases = []
    data = bytearray()
    for number in range(options.documents):
        rng = random.Random(f"{options.seed}/{number}")
        maker = Maker(rng)
        text = maker.document()
        if number % 2:
            text = maker.broken(text)
        named = re.findall(r"(?:query|mutation|subscription) ([ABC])\b", text)
        name = rng.choice(named * 4 + [None, "", "a"]) if len(named) > 1 else rng.choice([None, None, None, "", *named])
        cases.append((text, name))
        raw = text.encode()
        raw_name = (name or "").encode()
        data += b"%d %d\n" % (len(raw), -1 if name is None else len(raw_name)) + raw + raw_name

    run = subprocess.run([options.program], input=bytes(data), stdout=subprocess.PIPE, check=True)
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(answers) == len(cases), "an answer for each document"

    tally = Counter()
    complaints = 0
    for number, ((text, name), answer) in enumerate(zip(cases, answers)):
        complaint = check(text, name, answer, tally)
        if complaint:
            complaints += 1
            print(f"seed {options.seed}, document {number}, operationName {name!r}: {complaint}\n{text!r}\n")
    for what, count in sorted(tally.items()):
        print(f"{count:6} {what}")
    # A maker that makes nothing sound would let everything pass.
    if tally["accepted by both"] < options.documents // 5 or tally["refused by both"] < options.documents // 20:
        print("too few documents are accepted or refused by both: the test shows nothing")
        return 1
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
