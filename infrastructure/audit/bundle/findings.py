"""What a check finds wrong: counted to the last, told up to a bound, each as one sentence."""

from __future__ import annotations

TOLD = 20


class Findings:
    def __init__(self) -> None:
        self.count = 0
        self.told: list[str] = []

    def add(self, sentence: str) -> None:
        self.count += 1
        if len(self.told) < TOLD:
            self.told.append(sentence)
