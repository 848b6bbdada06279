"""The refusals of newservice, with their stable codes."""

from chassis.problems import Invalid


class BlankEntry(Invalid):
    code, title = "blank_entry", "The entry is empty."
