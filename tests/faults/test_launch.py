"""The launch on three machines that docs/faults.md shows: one is drained, one killed, one joins."""

import time

import pytest

from tests.faults.cluster import RAY, cluster
from tests.faults.hosts import ROOT
from tests.faults.injected import keep_transcript
from tests.faults.study import outcomes, run_folder

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1200)]


class Transcript:
    """What was typed and what the search said, as it came, with names in place of addresses and folders."""

    def __init__(self, made, command, names):
        self.began, self.lines, self.command = time.monotonic(), [], command
        self.names = names
        self.num_said = 0

    def listen(self):
        for line in self.command.said[self.num_said :]:
            self.num_said += 1
            self.add(line.rstrip())

    def type(self, host, words):
        self.listen()
        self.add(f"{host}$ {words}")

    def add(self, line):
        for found, name in self.names.items():
            line = line.replace(found, name)
        self.lines.append(f"[{time.monotonic() - self.began:4.0f} s] {line}")


def test_three_machines_of_which_one_is_drained_one_killed_and_one_joins(tmp_path):
    with cluster(tmp_path, "one", "two") as made:
        command = made.search(num_trials=8, max_concurrent=None)
        addresses = made.hosts.addresses
        names = {str(made.folder): "/shared", f"{RAY[:-3]}": "", str(ROOT): "."}
        told = Transcript(made, command, names)
        told.type("head", " ".join(made.words(num_trials=8, max_concurrent=None)).replace(f"{RAY[:-3]}", ""))

        def until(holds, seconds=300):
            command.wait(lambda: told.listen() or holds(), seconds)

        until(lambda: made.trains("one") and made.trains("two") and command.epochs() >= 2)
        told.type("head", f"{made.drain('one', 600)} --node-id=<one>")
        until(lambda: not made.trains("one"))
        told.add("(no trial is left on one)")
        made.hosts.off("two")
        told.type("two", "poweroff -f")
        time.sleep(20)
        made.join("three")
        addresses = made.hosts.addresses
        told.type("three", f"ray start --address={addresses['head']}:6379 --num-cpus=1")
        until(lambda: made.trains("three"))
        told.add("(three trains)")
        until(lambda: command.process.poll() is not None, 500)
        code = command.end()
        told.listen()
        assert code == 0, command.text
        assert made.hosts
    ended = outcomes(run_folder(tmp_path))
    assert [each["status"] for each in ended.values()] == ["complete"] * 8, ended
    for name, address in addresses.items():
        told.lines = [line.replace(address, name) for line in told.lines]
    keep_transcript(told.lines)
