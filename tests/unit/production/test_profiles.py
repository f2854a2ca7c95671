"""Shipped profiles: every word of the standard has a state, and no word has two."""

from __future__ import annotations

from itertools import chain

import pytest

from isthmus.model.plant import StateRules
from isthmus.model.states import Element, State
from isthmus.production.profiles import Profile, plain, profiles
from isthmus.production.rules import check_state

STANDARD = {
    ("packml", "state"): "Clearing Stopped Starting Idle Suspended Execute Stopping Aborting Aborted Holding Held "
    "Unholding Suspending Unsuspending Resetting Completing Complete",
    ("mtconnect", "execution"): "ACTIVE READY STOPPED PROGRAM_COMPLETED PROGRAM_STOPPED OPTIONAL_STOP "
    "PROGRAM_OPTIONAL_STOP INTERRUPTED FEED_HOLD WAIT UNAVAILABLE",
    ("mtconnect", "controller_mode"): "AUTOMATIC SEMI_AUTOMATIC MANUAL MANUAL_DATA_INPUT EDIT UNAVAILABLE",
    ("mtconnect", "functional_mode"): "PRODUCTION SETUP TEARDOWN MAINTENANCE PROCESS_DEVELOPMENT UNAVAILABLE",
    ("machinery", "state"): "NotAvailable OutOfService NotExecuting Executing",
    ("machinery", "mode"): "None Maintenance Setup Processing",
    ("machine-tool", "channel_state"): "Active Interrupted Reset",
    ("machine-tool", "program_state"): "Initializing Running Ended Interrupted Aborted",
}


def test_the_four_profiles_are_found_by_themselves() -> None:
    assert sorted(profiles()) == ["machine-tool", "machinery", "mtconnect", "packml"]


@pytest.mark.parametrize(("profile", "signal"), STANDARD)
def test_every_word_of_the_standard_is_mapped(profile: str, signal: str) -> None:
    words = {plain(word) for word in profiles()[profile].signals[signal].words}
    assert {plain(word) for word in STANDARD[profile, signal].split()} <= words


@pytest.mark.parametrize("profile", profiles().values(), ids=lambda profile: profile.name)
def test_no_two_words_or_numbers_of_a_signal_can_be_confused(profile: Profile) -> None:
    for signal in profile.signals.values():
        assert len({plain(word) for word in signal.words}) == len(signal.words)
        assert len(set(signal.numbers.values())) == len(signal.numbers)
        assert set(signal.numbers.values()) <= set(signal.words)
        assert sorted(signal.numbers) == list(range(len(signal.numbers)))


@pytest.mark.parametrize("profile", profiles().values(), ids=lambda profile: profile.name)
def test_every_main_word_means_a_state_and_only_one_kind_of_word_means_running(profile: Profile) -> None:
    main = profile.signals[profile.main].words
    assert None not in main.values()
    assert list(main.values()).count(State.RUN) == 1
    further = chain.from_iterable(one.words.values() for name, one in profile.signals.items() if name != profile.main)
    assert State.RUN not in further


def test_no_mapping_makes_running_of_what_stands_or_of_what_nobody_saw() -> None:
    elements = {State.RUN: Element.ADET, State.UNKNOWN: Element.OUTSIDE, State.IDLE: Element.APT}
    assert check_state(StateRules(elements=elements)) == [
        "elements cannot move RUN: running is actual production time",
        "elements cannot move UNKNOWN: nobody saw what it was",
        "elements cannot make IDLE actual production time; map the machine's word to RUN",
    ]


def test_a_profile_without_its_main_tag_or_with_a_wrong_name_is_told_with_the_mend() -> None:
    wrong = check_state(StateRules(profile="packml", tags={"stat": "s/a"}, override={"Heldd": State.DOWN}))
    assert wrong == [
        "profile packml has no signal 'stat'; did you mean 'state'",
        "profile packml needs a tag for 'state' (StateCurrent, as a number or a word)",
        "profile packml has no word 'Heldd'; did you mean 'Held'",
    ]
    assert check_state(StateRules(profile="packm")) == ["no profile is called 'packm'; did you mean 'packml'"]
