"""What is printed after each epoch: the best so far, how long the rest takes, and captions."""

import pytest

from captioning.network import progress
from captioning.network.progress import ShowEpoch, duration


class Clock:
    """Stands in for the module time, and moves on only when it is told to."""

    now = 1000.0

    def monotonic(self):
        """Returns the time that it was told."""
        return self.now


@pytest.fixture
def epochs(monkeypatch, capsys):
    """Returns a function that lets epochs pass and returns what is printed after each.

    Each epoch is its seconds and its figures.
    """
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)

    def pass_epochs(history, seconds, *figures, reward_epochs=0):
        show = ShowEpoch(history, 5, 2, reward_epochs)
        show.on_train_begin()
        printed = []
        for logs in figures:
            show.on_epoch_begin(len(history))
            clock.now += seconds
            show.on_epoch_end(len(history), logs)
            history.append(logs)
            # Saving takes time too.
            clock.now += seconds
            printed.append(capsys.readouterr().out.splitlines())
        return printed

    return pass_epochs


def trained(loss):
    return {"loss": 4.0, "accuracy": 0.25, "val_loss": loss, "val_accuracy": 0.5}


def rewarded(score):
    return {"reward": 40.0, "val_cider_d": score}


def test_the_best_so_far_is_marked_and_the_time_left_is_that_of_the_epochs_left(epochs):
    first, second, *_ = epochs([], 100, trained(3.0), trained(2.5), trained(2.7))
    assert first == [
        "Epoch 1/5 in 2 minutes, about 7 minutes left",
        "  training:   loss 4.0000, accuracy 0.2500",
        "  validation: loss 3.0000, accuracy 0.5000, best so far",
    ]
    # The second, with the saving of the first, took 200 seconds, so that three more take 600.
    assert second[0] == "Epoch 2/5 in 2 minutes, about 10 minutes left"


def test_an_epoch_that_is_no_better_is_not_marked_and_nothing_is_left_after_the_last(epochs):
    *_, worse, last = epochs([], 1, trained(3.0), trained(2.5), trained(2.7), trained(2.6))
    assert worse[2] == "  validation: loss 2.7000, accuracy 0.5000"
    # Two epochs without a lower loss: training stops here, though there were to be five.
    assert last[0] == "Epoch 4/5 in 1 second"


def test_fine_tuning_is_in_the_time_left_before_and_while_it_runs(epochs):
    history = []
    *_, last = epochs(history, 40, trained(3.0), trained(3.0), trained(3.0), reward_epochs=2)
    # 80 seconds with saving; two epochs of half as long again.
    assert last[0] == "Epoch 3/5 in 40 seconds, about 4 minutes left"
    history[0]["val_cider_d"] = 41.0
    first, second = epochs(history, 3000, rewarded(40.5), rewarded(41.5), reward_epochs=2)
    assert first == [
        "Epoch 4/5 in 50 minutes, about 50 minutes left",
        "  training:   reward 40.0",
        "  validation: CIDEr-D 40.5",
    ]
    assert second[0] == "Epoch 5/5 in 50 minutes"
    assert second[2] == "  validation: CIDEr-D 41.5, best so far"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "1 second"),
        (89, "89 seconds"),
        (90, "2 minutes"),
        (3600, "60 minutes"),
        (9000, "2.5 hours"),
    ],
)
def test_lengths_of_time_are_said_as_people_do(seconds, text):
    assert duration(seconds) == text
